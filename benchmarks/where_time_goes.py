"""Where each microsecond of a text goes, in process and served: the table of docs/how-to/serving.md.

    python benchmarks/where_time_goes.py [--rounds 5] [--calls 300]

CPU time by Linux's scheduler, which other work on the machine disturbs least. In process: the parts of
``distillex.pipeline.Pipeline``, timed while whole calls run, on one thread. Served: client, tritonserver and the
Python model's process, and the wall-clock time of a call. One text of 30 characters, and batches of 32 sentences; the
two doors in turn; medians over the rounds, microseconds a call.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import distillex
from bench_front_doors import texts_of_30
from bench_serving import BATCH, read_sentences
from distillex import tagger as tagger_module
from distillex_client import Extractor
from distillex_serving.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "load_tests"))
from machine import describe_machine  # noqa: E402
from traffic import NEWS  # noqa: E402
from under_load import MODEL, server  # noqa: E402

PARTS = ("which lexicons", "match, featurise", "group rows", "network", "decode, JSON", "entities from JSON")
REST = "the rest of Python"


class Stopwatch:
    """Adds up how long the parts of a pipeline take."""

    def __init__(self, tagger: distillex.Tagger) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        pipeline: Any = tagger._pipeline
        lexicons, featurizer = pipeline.lexicons, pipeline.lexicons.featurizer()[0]
        timed_featurizer = _Part(featurizer, featurize=self._timed("match, featurise", featurizer.featurize))
        pipeline.lexicons = _Part(
            lexicons,
            featurizer=self._timed("which lexicons", lambda: (timed_featurizer, lexicons.featurizer()[1])),
            over=self._timed("which lexicons", lexicons.over),
        )
        pipeline._network = _Part(pipeline._network, run=self._timed("network", pipeline._network.run))
        decode = self._timed("decode, JSON", pipeline._decoder.entities_json)
        pipeline._decoder = _Part(pipeline._decoder, entities_json=decode)
        pipeline._groups = self._timed("group rows", pipeline._groups)
        module: Any = tagger_module
        module.parse_entities = self._timed("entities from JSON", module.parse_entities)

    def _timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            value = call(*arguments, **named)
            self.seconds[part] += time.thread_time() - began
            return value

        return timed


class _Part:
    """An object of which some methods are others."""

    def __init__(self, whole: object, **methods: Callable[..., Any]) -> None:
        self._whole = whole
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)


def in_process(watch: Stopwatch, calls: Sequence[Callable[[], object]]) -> dict[str, float]:
    """Return the microseconds of each part of a call, and of the whole."""
    watch.seconds.update(dict.fromkeys(PARTS, 0.0))
    began = time.thread_time()
    for call in calls:
        call()
    whole = time.thread_time() - began
    parts = {**watch.seconds, REST: whole - sum(watch.seconds.values()), "all of it": whole}
    return {name: seconds / len(calls) * 1e6 for name, seconds in parts.items()}


def served(running: EmbeddedServer, calls: Sequence[Callable[[], object]]) -> dict[str, float]:
    """Return the CPU microseconds of each process in a call, and the wall-clock time of the whole."""
    processes = {"client": os.getpid()}
    for pid, name in running.processes.items():
        if name == "tritonserver" or name.startswith(MODEL):
            processes[name] = pid
    before = {name: _cpu_ns(pid) for name, pid in processes.items()}
    began = time.perf_counter()
    for call in calls:
        call()
    whole = time.perf_counter() - began
    parts = {f"CPU of {name}": (_cpu_ns(pid) - before[name]) / len(calls) / 1e3 for name, pid in processes.items()}
    return {**parts, "wall clock": whole / len(calls) * 1e6}


def _cpu_ns(pid: int) -> int:
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=300, help="single texts a round; a tenth as many batches")
    asked = parser.parse_args(arguments)
    machine = describe_machine()
    print(f"{machine['processor']}, {machine['cores']} usable cores, load before {machine['load before']}")
    sentences = read_sentences(NEWS, asked.calls // 10 * BATCH)
    batches = [sentences[begin : begin + BATCH] for begin in range(0, len(sentences), BATCH)]
    tagger = distillex.load(threads=1)
    watch = Stopwatch(tagger)
    with server() as running, Extractor(running.grpc_url, batch_size=BATCH) as extractor:
        for what, given, method in (
            ("one text of 30 characters", texts_of_30(asked.calls), "extract"),
            (f"a batch of {BATCH} sentences", batches, "extract_batch"),
        ):
            rounds: dict[str, list[dict[str, float]]] = {"in process": [], "served": []}
            for _ in range(asked.rounds + 1):
                for door, object_, measure in (
                    ("in process", tagger, lambda calls: in_process(watch, calls)),
                    ("served", extractor, lambda calls: served(running, calls)),
                ):
                    extract: Callable[[Any], object] = getattr(object_, method)
                    rounds[door].append(measure([partial(extract, each) for each in given]))
            for door, figures in rounds.items():
                print(f"\n{what}, {door}: microseconds a call")
                for name in figures[0]:
                    # The first round warms up.
                    print(f"  {name:28} {median(each[name] for each in figures[1:]):9.1f}")


if __name__ == "__main__":
    main()
