"""Measure one pipeline in process, as one served model (fused) and as three served models (ensemble).

    python benchmarks/bench_front_doors.py [--rounds 5] [--seconds 4] [--json FILE]

One run, both servers up, the doors in turn:

- single texts of 30 characters, call by call in changing order, so that all meet the same caches; then 100 calls of one
  door back to back, and with a pause before each (not checked). Other work on the machine makes a served call wait at
  each change of process: then the p10 tells more than the p50;
- sentences of examples/news.txt in batches of 32, four requests in flight;
- 16 callers of single texts, and 16 of load_tests/traffic.py's mixture, from a process of their own (Locust).

Prints medians over the rounds, medians of the rounds' ratios, what a text costs each server in CPU time, and the memory
of each server's processes. Exit codes: 0; 1 where a call failed or a bound is not kept: --max-single (p50, fused / in
process), --min-callers (texts/s of 16 callers, fused / ensemble), --min-rest (batches and mixture, fused / ensemble).
Takes about 3 minutes as above.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import distillex
from alternating import alternate, seconds_of
from bench_serving import percentile, read_sentences
from distillex_client import Extractor
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.repository import Layout
from served_rate import BATCH

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "load_tests"))
from machine import describe_machine  # noqa: E402
from resources import Sampler  # noqa: E402
from stage import Stage, run_stage  # noqa: E402
from traffic import NEWS  # noqa: E402
from under_load import MODEL, server  # noqa: E402

Door = distillex.Tagger | Extractor
IN_PROCESS, FUSED, ENSEMBLE = "in process", "fused", "ensemble"
LENGTH = 30
CALLS_OF_A_BLOCK = 100
PAUSE_S = 0.005
CALLERS = 16
MIB = 2**20


def texts_of_30(count: int) -> list[str]:
    """Cut texts of 30 characters from the news; the same at each run."""
    news, draw = "".join(NEWS.read_text(encoding="utf-8").split()), random.Random(1)
    begins = [draw.randrange(len(news) - LENGTH) for _ in range(count)]
    return [news[begin : begin + LENGTH] for begin in begins]


def call_by_call(doors: dict[str, Door], calls: int) -> dict[str, list[float]]:
    """Give each text to all doors, in changing order; return each door's milliseconds."""
    taken: dict[str, list[float]] = {name: [] for name in doors}
    for text, order in zip(texts_of_30(calls), itertools.cycle(itertools.permutations(doors)), strict=False):
        for name in order:
            taken[name].append(seconds_of(partial(doors[name].extract, text)) * 1000)
    return taken


def block_ms(door: Door, pause_s: float) -> float:
    """Return the median milliseconds of calls to one door."""
    taken = []
    for text in texts_of_30(CALLS_OF_A_BLOCK):
        time.sleep(pause_s)
        taken.append(seconds_of(partial(door.extract, text)) * 1000)
    return median(taken)


def batch_rate(door: Door, sentences: list[str]) -> float:
    """Return sentences a second, in batches."""
    return len(sentences) / seconds_of(lambda: door.extract_batch(sentences))


class Callers:
    """Callers in a process of their own, and what their calls cost each server."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.errors = 0
        self.memory_mib: dict[str, dict[str, float]] = {}
        """Server → process → after the last turn, without shared pages."""
        self.cpu_ms: dict[str, dict[str, list[float]]] = {}
        """What was sent → server → of all its processes, a text; a value a turn."""

    def rate(self, what: str, name: str, running: EmbeddedServer, shares: dict[str, float] | None) -> float:
        """Return answered texts a second; ``shares``: kinds of calls, by default traffic.py's."""
        with Sampler(running) as sampler:
            result = run_stage(Stage(MODEL, CALLERS, self._seconds, shares=shares), running.grpc_url, sampler)
        processes = [process for process in sampler.names() if process != "client"]
        cores = sum(result.cpu_cores.get(process, 0.0) for process in processes)
        self.cpu_ms.setdefault(what, {}).setdefault(name, []).append(1000 * cores / result.texts_per_s)
        self.memory_mib[name] = {process: sampler.memory_of(process)[1][-1] / MIB for process in processes}
        self.errors += result.errors
        return result.texts_per_s


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Run all; return medians by what was measured and door, ratios, errors, memory."""
    sentences = read_sentences(NEWS, asked.sentences)
    callers = Callers(asked.seconds)
    with (
        server() as fused,
        server(layout=Layout.ENSEMBLE) as ensemble,
        Extractor(fused.grpc_url, batch_size=BATCH) as through_fused,
        Extractor(ensemble.grpc_url, batch_size=BATCH) as through_ensemble,
    ):
        doors: dict[str, Door] = {IN_PROCESS: distillex.load(), FUSED: through_fused, ENSEMBLE: through_ensemble}
        servers = {FUSED: fused, ENSEMBLE: ensemble}
        for door in doors.values():
            door.extract_batch(sentences[: 4 * BATCH])
        call_by_call(doors, CALLS_OF_A_BLOCK)
        rounds = [call_by_call(doors, asked.singles) for _ in range(asked.rounds)]
        values = {
            f"single p{percent} ms": {name: [percentile(each[name], percent) for each in rounds] for name in doors}
            for percent in (50, 10)
        }
        values |= {
            "back to back p50 ms": in_turn({n: partial(block_ms, d, 0) for n, d in doors.items()}, asked.rounds),
            "after pauses p50 ms": in_turn({n: partial(block_ms, d, PAUSE_S) for n, d in doors.items()}, asked.rounds),
            "batches of 32, sentences/s": in_turn(
                {n: partial(batch_rate, d, sentences) for n, d in doors.items()}, asked.rounds
            ),
        }
        for what, shares in (("16 callers", {"single": 1.0}), ("mixture", None)):
            turns = {name: partial(callers.rate, what, name, running, shares) for name, running in servers.items()}
            values[f"{what}, texts/s"] = in_turn(turns, asked.rounds)
    for what, by_server in callers.cpu_ms.items():
        values[f"{what}, server CPU ms a text"] = by_server
    return {
        "medians": {what: {name: median(each) for name, each in by.items()} for what, by in values.items()},
        "ratios": {what: ratios(by) for what, by in values.items()},
        "errors": callers.errors,
        "memory_mib": callers.memory_mib,
    }


def in_turn(turns: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """Call all in turn; return each one's values."""
    return dict(zip(turns, alternate(list(turns.values()), rounds), strict=True))


def ratios(by_door: dict[str, list[float]]) -> dict[str, float]:
    """Return medians of the rounds' ratios: of one round, so that a slow minute meets both sides."""
    pairs = [(FUSED, IN_PROCESS), (ENSEMBLE, IN_PROCESS), (FUSED, ENSEMBLE)]
    return {
        f"{one} / {other}": median(a / b for a, b in zip(by_door[one], by_door[other], strict=True))
        for one, other in pairs
        if {one, other} <= by_door.keys()
    }


def checks_of(figures: dict[str, Any], asked: argparse.Namespace) -> list[tuple[str, bool]]:
    """Return each bound in words, and whether it was kept."""
    single = figures["ratios"]["single p50 ms"]
    to_ensemble = f"{FUSED} / {ENSEMBLE}"
    served = single[f"{FUSED} / {IN_PROCESS}"]
    checks = [
        (
            f"single p50 ms, served / in process: {served:.2f} (at most {asked.max_single:g}; "
            f"the ensemble {single[f'{ENSEMBLE} / {IN_PROCESS}']:.2f})",
            served <= asked.max_single,
        )
    ]
    for what, least in (
        ("16 callers, texts/s", asked.min_callers),
        ("batches of 32, sentences/s", asked.min_rest),
        ("mixture, texts/s", asked.min_rest),
    ):
        ratio = figures["ratios"][what][to_ensemble]
        checks.append((f"{what}, {to_ensemble}: {ratio:.2f} (at least {least:g})", ratio >= least))
    return [*checks, (f"failed calls: {figures['errors']}", figures["errors"] == 0)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a turn of the 16 callers")
    parser.add_argument("--singles", type=int, default=300, help="texts a round, call by call")
    parser.add_argument("--sentences", type=int, default=1000, help="in batches, a turn")
    parser.add_argument("--max-single", type=float, default=2.0)
    parser.add_argument("--min-callers", type=float, default=1.35)
    parser.add_argument("--min-rest", type=float, default=0.98)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    machine = describe_machine()
    figures = measure(asked)
    print(", ".join(machine[key] for key in ("processor", "vnni")) + f", {machine['cores']} usable cores, ", end="")
    print(f"load before {machine['load before']}")
    print(f"{'':36}{IN_PROCESS:>12}{FUSED:>10}{ENSEMBLE:>10}")
    for what, by_door in figures["medians"].items():
        cells = (f"{by_door[name]:.2f}" if name in by_door else "" for name in (IN_PROCESS, FUSED, ENSEMBLE))
        print("{:36}{:>12}{:>10}{:>10}  ".format(what, *cells), end="")
        print(", ".join(f"{pair}: {ratio:.2f}" for pair, ratio in figures["ratios"][what].items()))
    for name, processes in figures["memory_mib"].items():
        each = ", ".join(f"{process} {mib:.0f}" for process, mib in processes.items())
        print(f"memory of {name}, MiB: {sum(processes.values()):.0f} ({each})")
    checks = checks_of(figures, asked)
    for text, kept in checks:
        print(("ok     " if kept else "FAILED ") + text)
    if asked.json:
        content = {"machine": machine} | figures
        asked.json.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0 if all(kept for _, kept in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
