"""Test whether one model is better than another: a paired bootstrap over sentences.

Both models are measured on the same sentences, drawn again and again with replacement (Efron and Tibshirani, *An
Introduction to the Bootstrap*, 1993; Koehn, *Statistical Significance Tests for Machine Translation Evaluation*, EMNLP
2004). The p-value is that of Berg-Kirkpatrick, Burkett and Klein, *An Empirical Investigation of Statistical
Significance in NLP*, EMNLP 2012, of two sides: how often the difference of drawn sentences is as far from the measured
difference as that is from 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
AT_ONCE = 1 << 22
"""Numbers of one block of resamples: bounds the memory."""


@dataclass(frozen=True)
class PairedBootstrap:
    """A difference of two F1 scores, and what chance makes of it."""

    difference: float
    """F1 of the second less that of the first."""
    low: float
    high: float
    """The interval that holds 95 % of the differences of drawn sentences (percentiles)."""
    p_value: float
    resamples: int
    seed: int


def paired_bootstrap(
    first: NDArray[np.int64], second: NDArray[np.int64], *, resamples: int = RESAMPLES, seed: int = 1
) -> PairedBootstrap:
    """Compare two models by their counts on the same sentences.

    Parameters
    ----------
    first, second
        Counts of each sentence: right, found and gold entities. *Shape:* [sentences, 3].
    resamples
        How often as many sentences are drawn.
    seed
        Of the draws.

    Raises
    ------
    ValueError
        For counts of different or no sentences.
    """
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != 3 or not len(first):
        raise ValueError(f"counts of shapes {first.shape} and {second.shape}; [sentences, 3] of both is accepted")
    # Sentences of equal counts are drawn together: as often as any of them would be.
    kinds, times = np.unique(np.hstack([first, second]), axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    measured = float(_difference(kinds.T @ times))
    drawn = []
    left = resamples
    while left > 0:
        block = min(left, max(1, AT_ONCE // len(kinds)))
        draws = generator.multinomial(len(first), times / len(first), size=block)
        drawn.append(_difference((draws @ kinds).T))
        left -= block
    differences = np.concatenate(drawn)
    low, high = np.quantile(differences, (0.025, 0.975))
    # A rounding error must not decide whether a difference is as far off.
    extreme = np.abs(differences - measured) >= abs(measured) - 1e-12
    p_value = (1 + int(extreme.sum())) / (1 + resamples)
    return PairedBootstrap(measured, float(low), float(high), p_value, resamples, seed)


def _difference(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    """*Shape:* [6, …] → […]."""
    return _f1(sums[3:]) - _f1(sums[:3])


def _f1(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    right, found, gold = sums
    total = found + gold
    return np.where(total > 0, 2 * right / np.maximum(total, 1), 0.0)
