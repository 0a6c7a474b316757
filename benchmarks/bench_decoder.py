"""The CRF decoder against pytorch-crf and a numpy Viterbi: 41 labels, one thread.

    python benchmarks/bench_decoder.py [--rounds 5] [--json FILE]

Ours gives Viterbi spans and their posteriors, the peers the best label path alone. Rounds alternate; medians of tokens
a second are printed. All must find the same paths.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from distillex_matcher import CrfDecoder, LabelScheme
from distillex_matcher.reference import best_path
from torchcrf import CRF

BATCH, CHARACTERS = 32, 62


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
    runs: dict[str, Callable[[], object]] = {
        "distillex": lambda: [decoder.decode(emissions, lengths) for _ in range(20)],
        "pytorch-crf": lambda: theirs.decode(inner),
        "numpy": numpy_viterbi,
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - began) / (20 if name == "distillex" else 1))
    rates = {name: BATCH * CHARACTERS / statistics.median(taken) for name, taken in times.items()}
    for name, rate in rates.items():
        print(f"{name:12} {rate:12,.0f} tokens/s  distillex is {rates['distillex'] / rate:6.1f} times as fast")
    if arguments.json:
        content = {
            "ours": {"tokens_per_s": rates["distillex"]},
            "peers": {name: {"tokens_per_s": rate} for name, rate in rates.items() if name != "distillex"},
            "ratios": {name: rates["distillex"] / rate for name, rate in rates.items() if name != "distillex"},
        }
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
