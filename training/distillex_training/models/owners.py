"""Rows of a hashed table that belong to one key each: a key that training never met takes no other one's vector."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

NOBODY = -1
"""Owner of a row that belongs to no key; keys are not negative."""
COMMON_ROW = 0
"""Row of the keys that own none."""


def no_owners(rows: int) -> Tensor:
    """Return the owners of a table that belongs to nobody yet. *Shape:* [rows], int32."""
    return torch.full((rows,), NOBODY, dtype=torch.int32)


def owned_rows(keys: Tensor, rows: Tensor, owners: Tensor) -> Tensor:
    """Return ``rows``, those of keys that do not own theirs replaced by the common one. *Shape:* that of ``rows``."""
    # As an embedding, which every runtime reads with int32 rows.
    owner = functional.embedding(rows, owners.unsqueeze(1)).squeeze(-1)
    return torch.where(owner == keys, rows, COMMON_ROW)


def most_frequent_owners(
    keys: Iterable[Tensor], rows_of: Callable[[Tensor], Tensor], rows: int, minimum_count: int
) -> Tensor:
    """Find the most frequent key of each row.

    Parameters
    ----------
    keys
        Those of the training text, repeated as often as they occur. *Shape:* each [N], integer.
    rows_of
        Keys → their rows. *Shape:* [N] → [N].
    rows
        Size of the table.
    minimum_count
        Rarer keys own none: what the common row means is learnt from them.

    Returns
    -------
    Tensor
        *Shape:* [rows], int32.
    """
    found, counts = np.unique(torch.cat([some.int() for some in keys]).numpy(), return_counts=True)
    # In this order the most frequent key of a row is written last.
    ordered = torch.from_numpy(found[np.argsort(counts, kind="stable")][(counts < minimum_count).sum() :])
    owners = no_owners(rows).numpy()
    owners[rows_of(ordered).numpy()] = ordered.numpy()
    owners[COMMON_ROW] = NOBODY
    return torch.from_numpy(owners)
