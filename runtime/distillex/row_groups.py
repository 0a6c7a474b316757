"""Which rows of a batch are run together: a batch costs what its tokens cost, padding included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEP = 8
"""Lengths are rounded up to multiples of this, so that few shapes occur."""


@dataclass(frozen=True)
class RowGroup:
    """Rows to run in one call, cut to ``tokens``."""

    rows: NDArray[np.int64]
    tokens: int


def group_rows(lengths: NDArray[np.int64], call_cost: int, most_tokens: int) -> list[RowGroup]:
    """Divide rows into groups of similar length; rows of length 0 are in none.

    Parameters
    ----------
    lengths
        Real tokens of each row. *Shape:* [B].
    call_cost
        What one more call costs, in tokens: so much padding is taken to save a call.
    most_tokens
        Largest rows x tokens of a group (a single row may have more): bounds the memory of one run.

    Returns
    -------
    list of RowGroup
        Shorter ones first.
    """
    rounded = -(-lengths // STEP) * STEP
    order = np.argsort(rounded, kind="stable")
    order = order[np.searchsorted(rounded[order], 1) :]
    distinct, counts = np.unique(rounded[order], return_counts=True)
    groups: list[RowGroup] = []
    begin, waiting = 0, 0
    for index, (tokens, count) in enumerate(zip(distinct.tolist(), counts.tolist(), strict=True)):
        waiting += count
        last = index + 1 == len(distinct)
        # Waiting rows join the next length where their padding costs less than a call of their own.
        if not last and waiting * (int(distinct[index + 1]) - tokens) <= call_cost:
            continue
        rows = order[begin : begin + waiting]
        pieces = -(-waiting // max(1, most_tokens // tokens))
        groups += [RowGroup(piece, int(rounded[piece[-1]])) for piece in np.array_split(rows, pieces)]
        begin, waiting = begin + waiting, 0
    return groups
