"""Collision-free hashed tables: each row belongs to one key, and unknown keys share one row."""

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


def keys_with_rows(owners: Tensor | None) -> Tensor:
    """Return the keys that own a row; none where no row has an owner. *Shape:* [N], int32."""
    return torch.empty(0, dtype=torch.int32) if owners is None else owners[owners != NOBODY]


def give_rows(owners: Tensor, keys: Iterable[Tensor], rows_of: Callable[[Tensor], Tensor], minimum_count: int) -> int:
    """Give each row of a table to the most frequent key that hashes to it.

    Parameters
    ----------
    owners
        Overwritten. *Shape:* [rows], int32.
    keys
        Those of the training text, repeated as often as they occur. *Shape:* each [N], integer.
    rows_of
        Keys → their rows. *Shape:* [N] → [N].
    minimum_count
        Rarer keys own none: what the common row means is learnt from them.

    Returns
    -------
    int
        How many rows have an owner.
    """
    found, counts = np.unique(torch.cat([some.int() for some in keys]).numpy(), return_counts=True)
    # In this order the most frequent key of a row is written last.
    ordered = torch.from_numpy(found[np.argsort(counts, kind="stable")][(counts < minimum_count).sum() :])
    given = no_owners(len(owners)).numpy()
    given[rows_of(ordered).numpy()] = ordered.numpy()
    given[COMMON_ROW] = NOBODY
    owners.copy_(torch.from_numpy(given))
    return len(keys_with_rows(owners))
