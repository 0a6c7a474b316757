"""The CRF decoder against pytorch-crf and numpy: 41 labels, one thread.

    python benchmarks/bench_decoder.py [--rounds 5] [--json FILE]

Ours gives Viterbi spans and their posteriors, the peers the best label path alone. Then the five best paths, which no
well-kept package gives, against numpy. Rounds alternate; medians of tokens a second are printed. All must find the same
paths. Last, what the JSON of one text and of 32 of 30 characters takes, for rows without entities and with some.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from alternating import alternate, seconds_of
from distillex_matcher import CrfDecoder, LabelScheme
from distillex_matcher.reference import best_path, best_paths
from torchcrf import CRF

BATCH, CHARACTERS = 32, 62
PATHS = 5
SHORT = 30
"""Characters of a short text."""
SHORTEST = 0.01
"""Seconds that a turn takes at least."""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = np.random.default_rng(1)
    scheme = LabelScheme([f"type{i}" for i in range(10)])
    n = len(scheme)
    transitions, start, end = (generator.normal(size=s).astype(np.float32) for s in ((n, n), n, n))
    emissions = (generator.normal(size=(BATCH, CHARACTERS + 2, n)) * 3).astype(np.float32)
    lengths = np.full(BATCH, CHARACTERS + 2, dtype=np.int32)
    decoder = CrfDecoder(scheme, transitions, start, end)
    theirs = CRF(n, batch_first=True)
    with torch.no_grad():
        theirs.transitions.copy_(torch.from_numpy(np.where(scheme.allowed_transitions, transitions, -1e4)))
        theirs.start_transitions.copy_(torch.from_numpy(np.where(scheme.allowed_starts, start, -1e4)))
        theirs.end_transitions.copy_(torch.from_numpy(np.where(scheme.allowed_ends, end, -1e4)))
    inner = torch.from_numpy(emissions[:, 1:-1].copy())

    def numpy_viterbi() -> list[list[int]]:
        return [best_path(scheme, transitions, start, end, row) for row in inner.numpy()]

    expected = [path.tolist() for path in decoder.viterbi(emissions, lengths)]
    if theirs.decode(inner) != expected or numpy_viterbi() != expected:
        raise SystemExit("the contestants disagree")
    fastest = compare(
        {
            "distillex": lambda: decoder.decode(emissions, lengths),
            "pytorch-crf": lambda: theirs.decode(inner),
            "numpy": numpy_viterbi,
        },
        arguments.rounds,
    )

    def numpy_best_paths() -> list[list[list[int]]]:
        return [best_paths(scheme, transitions, start, end, row, PATHS) for row in inner.numpy()]

    ours = [[labels.tolist() for labels, _ in row] for row in decoder.best_paths(emissions, lengths, PATHS)]
    if numpy_best_paths() != ours:
        raise SystemExit("the contestants disagree on the best paths")
    print(f"{PATHS} best paths:")
    several = compare(
        {"distillex": lambda: decoder.best_paths(emissions, lengths, PATHS), "numpy": numpy_best_paths},
        arguments.rounds,
    )
    json_us = time_json(decoder, generator, arguments.rounds)
    if arguments.json:
        content = summary(fastest) | {"best_paths": summary(several), "json_us": json_us}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def compare(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Time the contestants in turn; print and return the median tokens a second of each, ours first."""

    def timed(run: Callable[[], object]) -> Callable[[], float]:
        repeats = 1
        while seconds_of(run, repeats) < SHORTEST:
            repeats *= 2
        return lambda: seconds_of(run, repeats) / repeats

    taken = alternate([timed(run) for run in runs.values()], rounds)
    rates = {name: BATCH * CHARACTERS / statistics.median(each) for name, each in zip(runs, taken, strict=True)}
    for name, rate in rates.items():
        print(f"{name:12} {rate:12,.0f} tokens/s  distillex is {rates['distillex'] / rate:6.1f} times as fast")
    return rates


def time_json(decoder: CrfDecoder, generator: np.random.Generator, rounds: int) -> dict[str, float]:
    """Time the decoder as it serves; print and return the median microseconds of a call."""
    noise = generator.normal(size=(BATCH, SHORT + 2, len(decoder.scheme))).astype(np.float32)
    none = noise.copy()
    none[:, :, 0] += 20
    calls = {}
    for kind, emissions in (("without entities", none), ("with entities", noise * 3)):
        for rows in (1, BATCH):
            lengths = np.full((rows, 1), SHORT + 2, dtype=np.int32)
            texts = ["字".encode() * SHORT] * rows
            calls[f"{rows} {kind}"] = partial(decoder.entities_json, emissions[:rows], lengths, texts)
    turns = [partial(seconds_of, call, 500) for call in calls.values()]
    taken = alternate(turns, rounds)
    medians = {name: statistics.median(each) / 500 * 1e6 for name, each in zip(calls, taken, strict=True)}
    for name, median in medians.items():
        print(f"JSON of texts of {SHORT} characters, {name}: {median:.2f} µs")
    return medians


def summary(rates: dict[str, float]) -> dict[str, object]:
    """Return ours, the peers' and the ratios."""
    peers = {name: rate for name, rate in rates.items() if name != "distillex"}
    return {
        "ours": {"tokens_per_s": rates["distillex"]},
        "peers": {name: {"tokens_per_s": rate} for name, rate in peers.items()},
        "ratios": {name: rates["distillex"] / rate for name, rate in peers.items()},
    }


if __name__ == "__main__":
    main()
