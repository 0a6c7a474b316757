"""How far the decoder's posteriors are from float64, over random CRFs and row lengths.

    python benchmarks/decoder_precision.py [--crfs 400]

For each length prints the largest absolute difference of a posterior marginal over that many CRFs, and the median of
each CRF's largest. The reference is a scaled forward-backward in numpy's float64.
"""

from __future__ import annotations

import argparse

import numpy as np
from distillex_matcher import CrfDecoder, LabelScheme
from numpy.typing import NDArray

LENGTHS = (32, 128, 256, 257, 510)
TYPE_COUNTS = (1, 3, 4, 7, 8, 10, 13, 21)
TRANSITION_SCALES = (0.1, 1.0, 3.0, 8.0)
EMISSION_SCALES = (0.01, 0.1, 1.0, 3.0, 6.0)


def reference_marginals(
    scheme: LabelScheme,
    transitions: NDArray[np.float32],
    start: NDArray[np.float32],
    end: NDArray[np.float32],
    emissions: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Posterior marginals [C, L] by scaled probabilities in float64 (for scores that stay far from underflow)."""
    moves = np.where(scheme.allowed_transitions, np.exp(transitions.astype(np.float64)), 0.0)
    weights = np.exp(emissions.astype(np.float64) - emissions.max(axis=1, keepdims=True))
    forward = np.zeros_like(weights)
    backward = np.zeros_like(weights)
    forward[0] = np.where(scheme.allowed_starts, np.exp(start.astype(np.float64)), 0.0) * weights[0]
    for t in range(1, len(weights)):
        forward[t] = (forward[t - 1] / forward[t - 1].sum()) @ moves * weights[t]
    backward[-1] = np.where(scheme.allowed_ends, np.exp(end.astype(np.float64)), 0.0)
    for t in range(len(weights) - 2, -1, -1):
        backward[t] = moves @ (weights[t + 1] * backward[t + 1])
        backward[t] /= backward[t].sum()
    products: NDArray[np.float64] = forward * backward
    return products / products.sum(axis=1, keepdims=True)


def worst_difference(seed: int, characters: int) -> float:
    """Of one random CRF and row."""
    generator = np.random.default_rng(seed)
    scheme = LabelScheme([f"type{i}" for i in range(int(generator.choice(TYPE_COUNTS)))])
    n = len(scheme)
    scale, emission_scale = float(generator.choice(TRANSITION_SCALES)), float(generator.choice(EMISSION_SCALES))
    transitions, start, end = (
        (generator.normal(size=shape) * scale).astype(np.float32) for shape in ((n, n), (n,), (n,))
    )
    row = (generator.normal(size=(characters, n)) * emission_scale).astype(np.float32)
    batch = np.zeros((1, characters + 2, n), np.float32)
    batch[0, 1:-1] = row
    found = CrfDecoder(scheme, transitions, start, end).marginals(batch, np.array([characters + 2], np.int32))
    return float(np.abs(found[0, 1:-1] - reference_marginals(scheme, transitions, start, end, row)).max())


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crfs", type=int, default=400)
    arguments = parser.parse_args()
    for characters in LENGTHS:
        differences = sorted(worst_difference(seed, characters) for seed in range(arguments.crfs))
        middle = differences[len(differences) // 2]
        print(f"{characters:4} characters: largest difference {differences[-1]:.1e}, median {middle:.1e}")


if __name__ == "__main__":
    main()
