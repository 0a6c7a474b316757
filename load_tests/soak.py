"""Run for long at 80 % of saturation, and check for errors and for growing memory.

    python load_tests/soak.py [--minutes 10] [--users 16] [--share 0.8] [--max-growth-mib 16] [--output reports/load]

First finds out how many calls a second the server answers at saturation (users who call as fast as answers come, for
20 s). Then the same users keep to 80 % of that rate for the asked minutes, while the memory of the server, its stubs
and the client is sampled every second. Writes soak.html and soak.json. Takes the asked minutes and one more.

Exit codes: 0; 1 a call failed, or a process grew by more than --max-growth-mib from the run's second fifth (after the
first, in which pools fill) to its last.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import page
import plots
from machine import describe_machine
from resources import Sampler
from stage import Stage, StageResult, run_stage
from under_load import MODEL, server

MIB = 2**20
PLOTTED_POINTS = 600


@dataclass(frozen=True)
class Memory:
    """A process's memory over the run."""

    name: str
    minutes: list[float]
    mib: list[float]

    @property
    def growth_mib(self) -> float:
        """Median of the last fifth less median of the second fifth."""
        fifth = max(1, len(self.mib) // 5)
        return float(median(self.mib[-fifth:]) - median(self.mib[fifth : 2 * fifth] or self.mib))


def memories(sampler: Sampler) -> list[Memory]:
    """Return the memory of each process that was sampled."""
    found = []
    for name in sampler.names():
        moments, sizes = sampler.memory_of(name)
        found.append(Memory(name, [(m - moments[0]) / 60 for m in moments], [size / MIB for size in sizes]))
    return found


def soak(
    users: int, minutes: float, share: float, calibration_s: float, interval_s: float
) -> tuple[StageResult, StageResult, list[Memory]]:
    """Return the stage at saturation, the long stage, and the memory over the long one."""
    with server() as running:
        saturated = run_stage(Stage(MODEL, users, calibration_s), running.grpc_url)
        rate = share * saturated.calls_per_s
        print(
            f"saturated: {saturated.calls_per_s:.1f} calls/s, {saturated.texts_per_s:.0f} sentences/s; "
            f"now {minutes:g} minutes at {rate:.1f} calls/s",
            flush=True,
        )
        with Sampler(running, interval_s) as sampler:
            stage = Stage(MODEL, users, 60 * minutes, user_rate=rate / users, seed=2)
            long = run_stage(stage, running.grpc_url, sampler)
    return saturated, long, memories(sampler)


def _thinned(values: list[float]) -> list[float]:
    return values[:: max(1, len(values) // PLOTTED_POINTS)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and report; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--share", type=float, default=0.8, help="of the calls a second at saturation")
    parser.add_argument("--calibration", type=float, default=20.0, help="seconds at saturation")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between samples of memory")
    parser.add_argument("--max-growth-mib", type=float, default=16.0)
    parser.add_argument("--output", type=Path, default=Path("reports/load"))
    asked = parser.parse_args(arguments)
    machine = describe_machine()
    saturated, long, memory = soak(asked.users, asked.minutes, asked.share, asked.calibration, asked.interval)
    verdicts = [(f"failed calls: {long.errors} of {long.calls + long.errors:,}", long.errors == 0)]
    verdicts += [
        (f"{m.name}: grew by {m.growth_mib:+.1f} MiB to {m.mib[-1]:.0f} MiB", m.growth_mib <= asked.max_growth_mib)
        for m in memory
    ]
    columns = ("calls_per_s", "texts_per_s", "p50_ms", "p95_ms", "p99_ms", "errors")
    rows = [
        [name, *(stage.summary()[column] for column in columns)]
        for name, stage in (("at saturation", saturated), (f"{asked.share:.0%} of it", long))
    ]
    lines = {m.name: (_thinned(m.minutes), _thinned(m.mib)) for m in memory}
    parts = [
        *(page.verdict(text, good) for text, good in verdicts),
        page.heading("Machine"),
        page.facts(machine),
        page.heading(f"{asked.minutes:g} minutes, {asked.users} users"),
        page.table(["", *columns], rows),
        plots.line_plot("Memory (without shared pages)", "minutes", "MiB", lines),
    ]
    figures = {
        "machine": machine,
        "minutes": asked.minutes,
        "saturated": saturated.summary(),
        "soak": long.summary(),
        "growth_mib": {m.name: m.growth_mib for m in memory},
        "memory_mib": {m.name: {"minutes": m.minutes, "mib": m.mib} for m in memory},
    }
    report = page.write_report(asked.output, "soak", "Distillex: soak", parts, figures)
    for text, good in verdicts:
        print(("ok     " if good else "FAILED ") + text)
    print(f"report: {report}")
    return 0 if all(good for _, good in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
