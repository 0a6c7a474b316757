"""Linear-chain CRF under a mask of allowed transitions; posteriors in float64 and logarithms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distillex_matcher._core import LabelScheme

Array = NDArray[np.float64]


def _constrained(
    scheme: LabelScheme, transitions: NDArray[np.float32], start: NDArray[np.float32], end: NDArray[np.float32]
) -> tuple[Array, Array, Array]:
    return (
        np.where(scheme.allowed_transitions, transitions.astype(np.float64), -np.inf),
        np.where(scheme.allowed_starts, start.astype(np.float64), -np.inf),
        np.where(scheme.allowed_ends, end.astype(np.float64), -np.inf),
    )


def _log_sum_exp(values: Array, axis: int) -> Array:
    top = values.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        total: Array = np.log(np.exp(values - top).sum(axis=axis)) + np.squeeze(top, axis)
    return total


def best_path(
    scheme: LabelScheme,
    transitions: NDArray[np.float32],
    start: NDArray[np.float32],
    end: NDArray[np.float32],
    emissions: NDArray[np.float32],
) -> list[int]:
    """Viterbi over emissions [C, L] in float32, in the order of pytorch-crf; of equal scores the first label wins."""
    moves, first, last = (a.astype(np.float32) for a in _constrained(scheme, transitions, start, end))
    score = first + emissions[0]
    back = []
    for row in emissions[1:]:
        candidates = score[:, None] + moves + row[None, :]
        back.append(candidates.argmax(axis=0))
        score = candidates.max(axis=0)
    path = [int((score + last).argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return path[::-1]


def best_paths(
    scheme: LabelScheme,
    transitions: NDArray[np.float32],
    start: NDArray[np.float32],
    end: NDArray[np.float32],
    emissions: NDArray[np.float32],
    k: int,
) -> list[list[int]]:
    """At most k best paths over emissions [C, L] in float32, best first; of equal scores the lower label wins."""
    moves, first, last = (a.astype(np.float32) for a in _constrained(scheme, transitions, start, end))
    labels = len(first)
    scores = np.full((labels, k), -np.inf, dtype=np.float32)
    scores[:, 0] = first + emissions[0]
    back = []
    for row in emissions[1:]:
        candidates = (scores[:, :, None] + moves[:, None, :] + row).reshape(labels * k, labels)
        origins = np.argsort(-candidates, axis=0, kind="stable")[:k]
        scores = np.take_along_axis(candidates, origins, axis=0).T
        back.append(origins)
    totals = (scores + last[:, None]).ravel()
    paths = []
    for place in np.argsort(-totals, kind="stable")[:k]:
        if not np.isfinite(totals[place]):
            break
        path = [int(place)]
        for origins in reversed(back):
            label, rank = divmod(path[-1], k)
            path.append(int(origins[rank, label]))
        paths.append([each // k for each in reversed(path)])
    return paths


def _forward_backward(
    scheme: LabelScheme,
    transitions: NDArray[np.float32],
    start: NDArray[np.float32],
    end: NDArray[np.float32],
    emissions: NDArray[np.float32],
) -> tuple[Array, Array, float]:
    moves, first, last = _constrained(scheme, transitions, start, end)
    scores = emissions.astype(np.float64)
    alpha = np.empty_like(scores)
    beta = np.empty_like(scores)
    alpha[0] = first + scores[0]
    for t in range(1, len(scores)):
        alpha[t] = _log_sum_exp(alpha[t - 1][:, None] + moves, axis=0) + scores[t]
    beta[-1] = last
    for t in range(len(scores) - 2, -1, -1):
        beta[t] = _log_sum_exp(moves + (scores[t + 1] + beta[t + 1])[None, :], axis=1)
    return alpha, beta, float(_log_sum_exp(alpha[-1] + last, axis=0))


def marginals(
    scheme: LabelScheme,
    transitions: NDArray[np.float32],
    start: NDArray[np.float32],
    end: NDArray[np.float32],
    emissions: NDArray[np.float32],
) -> Array:
    """Posterior marginals [C, L] of emissions [C, L]."""
    alpha, beta, partition = _forward_backward(scheme, transitions, start, end, emissions)
    result: Array = np.exp(alpha + beta - partition)
    return result


def span_probability(
    scheme: LabelScheme,
    transitions: NDArray[np.float32],
    start: NDArray[np.float32],
    end: NDArray[np.float32],
    emissions: NDArray[np.float32],
    span: tuple[int, int, str],
) -> float:
    """Posterior probability of exactly this span ``(start, end, type)``."""
    alpha, beta, partition = _forward_backward(scheme, transitions, start, end, emissions)
    begin, stop, kind = span
    labels = [int(label) for label in scheme.encode([(begin, stop, kind)], stop)[begin:stop]]
    value = alpha[begin, labels[0]]
    for t in range(begin + 1, stop):
        previous, current = labels[t - begin - 1], labels[t - begin]
        value += float(transitions[previous, current]) + float(emissions[t, current])
    return float(np.exp(value + beta[stop - 1, labels[-1]] - partition))
