"""Compare the emissions of an exported network with the expected ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def largest_of(runs: Iterable[tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]]) -> tuple[float, float]:
    """Compare emissions on real tokens.

    Parameters
    ----------
    runs
        Of each run the emissions found and those expected [B, T, L], and which tokens are real [B, T].

    Returns
    -------
    tuple
        Largest absolute difference, largest absolute expected emission. The difference is NaN where an emission of a
        real token is no finite number: no bound accepts it.
    """
    differences, emissions = [], []
    for found, expected, real in runs:
        left, right = found[real], expected[real]
        finite = np.isfinite(left).all() and np.isfinite(right).all()
        differences.append(np.abs(left - right).max() if finite else np.nan)
        emissions.append(np.abs(right).max())
    # Python's max drops a NaN that comes second.
    return float(np.max(differences)), float(np.max(emissions))
