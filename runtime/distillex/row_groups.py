"""Group rows of similar length into runs of the network, to save padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STEP = 8
"""Lengths are rounded up to multiples of this, so that few shapes occur."""


@dataclass(frozen=True)
class RowGroup:
    """Rows to run in one call, cut to ``tokens``."""

    rows: list[int]
    tokens: int


def group_rows(lengths: Sequence[int], call_cost: int, most_tokens: int) -> list[RowGroup]:
    """Divide rows into groups of similar length; rows of length 0 are in none.

    Parameters
    ----------
    lengths
        Real tokens of each row.
    call_cost
        What one more call costs, in tokens: so much padding is taken to save a call.
    most_tokens
        Largest rows x tokens of a group (a single row may have more): bounds the memory of one run.

    Returns
    -------
    list of RowGroup
        Shorter ones first.
    """
    # No numpy: of a batch's few rows its calls would cost more than all of this.
    rounded = [-(-length // STEP) * STEP for length in lengths]
    order = sorted((row for row in range(len(rounded)) if rounded[row]), key=rounded.__getitem__)
    groups: list[RowGroup] = []
    waiting: list[int] = []
    for place, row in enumerate(order):
        waiting.append(row)
        tokens = rounded[row]
        longer = rounded[order[place + 1]] if place + 1 < len(order) else 0
        # Waiting rows join the next length where their padding costs less than a call of their own.
        if longer == tokens or (longer and len(waiting) * (longer - tokens) <= call_cost):
            continue
        pieces = -(-len(waiting) // max(1, most_tokens // tokens))
        size, larger = divmod(len(waiting), pieces)
        begin = 0
        for piece in range(pieces):
            end = begin + size + (piece < larger)
            groups.append(RowGroup(waiting[begin:end], rounded[waiting[end - 1]]))
            begin = end
        waiting = []
    return groups
