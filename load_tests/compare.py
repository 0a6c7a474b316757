"""Measure how much faster the student is than the teacher, both served by the embedded server.

    python load_tests/compare.py [--rounds 3] [--seconds 15] [--users 1 2 4 8 16] [--teacher DIR]
        [--layout ensemble] [--output DIR]

Starts the server with both, then drives them in turn with the same traffic (traffic.py), alternating, several rounds;
takes medians over the rounds. Writes compare.html and compare.json. Exit codes: 0 all bounds kept; 1 a call failed, or
the student's gain is below --min-speedup (throughput) or --min-latency-gain (p50 with one user).

Without --teacher (a folder that `distillex export TEACHER -o DIR` wrote) the teacher has the architecture of
training/configs/teacher-cluener.yaml and random weights. Takes rounds x user levels x 2 x (seconds + 4 s): 10 minutes
as above, one minute with --quick.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import page
import plots
from distillex_serving.embedded import EMBEDDED_LAYOUTS, EmbeddedServer
from distillex_serving.repository import Layout
from machine import describe_machine
from random_teacher import TeacherSizes
from resources import Sampler
from stage import Stage, StageResult, run_stage
from triton_statistics import ModelTime, TritonStatistics, models_of
from under_load import MODEL as STUDENT
from under_load import TEACHER_MODEL as TEACHER
from under_load import exported_teacher, server

NAMES = {STUDENT: "student", TEACHER: "teacher"}
FIGURES = ("texts_per_s", "calls_per_s", "p50_ms", "p95_ms", "p99_ms", "single_p50_ms", "single_p99_ms")


@dataclass(frozen=True)
class Gain:
    """What the student gains over the teacher, as factors."""

    throughput: float
    """Of sentences a second, each at its best load."""
    latency: float
    """Of the p50 of all calls with one user."""
    single_latency: float
    """The same of calls with a single text."""


@dataclass(frozen=True)
class Comparison:
    """All stages, in the order in which they ran, and where the time went in the last round."""

    results: list[StageResult]
    times: dict[str, dict[int, list[ModelTime]]]
    """Model → users → per-model times."""

    def levels(self) -> list[int]:
        """Return the numbers of users."""
        return sorted({result.users for result in self.results})

    def medians(self, model: str, users: int) -> dict[str, float]:
        """Return the figures of one model at one load: medians over the rounds."""
        summaries = [r.summary() for r in self.results if (r.model, r.users) == (model, users)]
        figures = {figure: float(median(summary[figure] for summary in summaries)) for figure in FIGURES}
        figures["errors"] = float(sum(summary["errors"] for summary in summaries))
        cores: dict[str, list[float]] = {"server_cores": [], "client_cores": []}
        for summary in summaries:
            client = summary["cpu_cores"].get("client", 0.0)
            cores["server_cores"].append(sum(summary["cpu_cores"].values()) - client)
            cores["client_cores"].append(client)
        return figures | {name: float(median(values)) for name, values in cores.items()}

    def gain(self) -> Gain:
        """Return the student's gain."""

        def best(model: str) -> float:
            return max(self.medians(model, users)["texts_per_s"] for users in self.levels())

        first = self.levels()[0]
        student, teacher = self.medians(STUDENT, first), self.medians(TEACHER, first)
        return Gain(
            best(STUDENT) / best(TEACHER),
            teacher["p50_ms"] / student["p50_ms"],
            teacher["single_p50_ms"] / student["single_p50_ms"],
        )

    def errors(self) -> int:
        """Return the number of failed calls."""
        return sum(result.errors for result in self.results)


def run(running: EmbeddedServer, asked: argparse.Namespace) -> Comparison:
    """Drive both models at each load, in turn."""
    results: list[StageResult] = []
    times: dict[str, dict[int, list[ModelTime]]] = {STUDENT: {}, TEACHER: {}}
    url, layout = running.grpc_url, running.options.layout
    statistics = {
        STUDENT: TritonStatistics(url, models_of(layout)),
        TEACHER: TritonStatistics(url, models_of(layout, teacher=True)),
    }
    with Sampler(running) as sampler:
        for number in range(asked.rounds):
            for users in asked.users:
                # Who comes first changes from round to round.
                for model in (STUDENT, TEACHER) if number % 2 == 0 else (TEACHER, STUDENT):
                    statistics[model].restart()
                    stage = Stage(model, users, asked.seconds, asked.settle, seed=number + 1)
                    result = run_stage(stage, url, sampler)
                    times[model][users] = statistics[model].times()
                    results.append(result)
                    print(
                        f"round {number + 1}, {users:3} users, {NAMES[model]}: {result.texts_per_s:8.1f} sentences/s, "
                        f"p50 {result.percentile(50):8.2f} ms, p99 {result.percentile(99):8.2f} ms, "
                        f"{result.errors} errors",
                        flush=True,
                    )
    for each in statistics.values():
        each.close()
    return Comparison(results, times)


def report_parts(comparison: Comparison, about: dict[str, str], verdicts: list[tuple[str, bool]]) -> list[str]:
    """Return the report's pieces of HTML."""
    levels = comparison.levels()
    figures = {model: [comparison.medians(model, users) for users in levels] for model in (STUDENT, TEACHER)}
    rows = [
        [NAMES[model], users, *(f[k] for k in (*FIGURES, "server_cores", "client_cores")), int(f["errors"])]
        for model in (STUDENT, TEACHER)
        for users, f in zip(levels, figures[model], strict=True)
    ]
    head = ["model", "users", "sentences/s", "calls/s", "p50 ms", "p95 ms", "p99 ms", "single p50 ms", "single p99 ms"]
    head += ["server cores", "client cores", "errors"]

    def lines(key: str) -> dict[str, tuple[list[float], list[float]]]:
        return {NAMES[m]: ([float(u) for u in levels], [f[key] for f in figures[m]]) for m in (STUDENT, TEACHER)}

    latency = {
        f"{NAMES[model]} {key[:3]}": ([float(users) for users in levels], [f[key] for f in figures[model]])
        for model in (STUDENT, TEACHER)
        for key in ("p50_ms", "p95_ms", "p99_ms")
    }
    against = {NAMES[m]: ([f["texts_per_s"] for f in figures[m]], [f["p50_ms"] for f in figures[m]]) for m in figures}
    return [
        *(page.verdict(text, good) for text, good in verdicts),
        page.heading("Machine"),
        page.facts(about),
        page.heading("Medians over the rounds"),
        page.table(head, rows),
        plots.line_plot("Latency against load", "users", "ms", latency, logarithmic=True),
        plots.line_plot("Throughput", "users", "sentences/s", lines("texts_per_s"), logarithmic=True),
        plots.line_plot("Latency (p50) against throughput", "sentences/s", "ms", against, logarithmic=True),
        plots.line_plot("CPU of server and stubs", "users", "cores", lines("server_cores")),
        page.heading("Where the time of a request goes (Triton's statistics, last round)"),
        *(
            plots.stacked_bars(f"{NAMES[m]}: mean time of a request", "ms", _time_bars(comparison.times[m]))
            for m in figures
        ),
        *(
            page.heading(f"{NAMES[m]}, {u} users") + _time_table(comparison.times[m][u])
            for m in figures
            for u in levels
        ),
    ]


def _time_bars(times: dict[int, list[ModelTime]]) -> dict[str, dict[str, float]]:
    """Users → part of a request's time → ms: each model's own work, waiting, handing tensors over."""
    return {
        f"{users} users": {time.model: time.infer_ms for time in each}
        | {
            "waiting": sum(time.queue_ms for time in each),
            "tensors in and out": sum(time.input_ms + time.output_ms for time in each),
        }
        for users, each in times.items()
    }


def _time_table(times: list[ModelTime]) -> str:
    head = ["model", "requests a batch", "queue ms", "input ms", "compute ms", "output ms"]
    rows = [[t.model, t.batch, t.queue_ms, t.input_ms, t.infer_ms, t.output_ms] for t in times]
    return page.table(head, rows)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="of a stage")
    parser.add_argument("--settle", type=float, default=2.0, help="seconds at a stage's beginning that do not count")
    parser.add_argument("--min-speedup", type=float, default=10.0, help="of throughput, student over teacher")
    parser.add_argument("--min-latency-gain", type=float, default=8.0, help="of the p50 with one user")
    parser.add_argument("--teacher", type=Path, help="exported teacher; by default one of random weights")
    parser.add_argument("--teacher-layers", type=int, default=TeacherSizes.layers, help="of the random teacher")
    parser.add_argument("--teacher-width", type=int, default=TeacherSizes.width, help="of the random teacher")
    layouts = [layout.value for layout in EMBEDDED_LAYOUTS if layout is not Layout.GPU]
    parser.add_argument("--layout", choices=layouts, default=Layout.FUSED.value, help="of the served models")
    parser.add_argument("--quick", action="store_true", help="1 round, 1 and 8 users, 6 s a stage")
    parser.add_argument("--output", type=Path, default=Path("reports/load"))
    parsed = parser.parse_args(arguments)
    if parsed.quick:
        parsed.users, parsed.rounds, parsed.seconds, parsed.settle = [1, 8], 1, 6.0, 1.0
    return parsed


def judge(gain: Gain, errors: int, asked: argparse.Namespace) -> list[tuple[str, bool]]:
    """Return each bound in words, and whether it was kept."""
    return [
        (
            f"throughput: {gain.throughput:.1f} times (at least {asked.min_speedup:g})",
            gain.throughput >= asked.min_speedup,
        ),
        (
            f"p50 with {min(asked.users)} user(s): {gain.latency:.1f} times lower (at least "
            f"{asked.min_latency_gain:g}); of single texts {gain.single_latency:.1f} times",
            gain.latency >= asked.min_latency_gain,
        ),
        (f"failed calls: {errors}", errors == 0),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and report; return the exit code."""
    asked = parse(arguments)
    machine = describe_machine()
    sizes = TeacherSizes(asked.teacher_layers, asked.teacher_width, 12 if asked.teacher_width % 12 == 0 else 1)
    with (
        exported_teacher(asked.teacher, sizes) as (folder, teacher),
        server(teacher=folder, layout=Layout(asked.layout)) as running,
    ):
        comparison = run(running, asked)
    gain, errors = comparison.gain(), comparison.errors()
    verdicts = judge(gain, errors, asked)
    figures: dict[str, Any] = {
        "machine": machine,
        "teacher": teacher,
        "gain": asdict(gain),
        "errors": errors,
        "medians": {NAMES[m]: {u: comparison.medians(m, u) for u in comparison.levels()} for m in NAMES},
        "stages": [result.summary() for result in comparison.results],
        "times": {NAMES[m]: {u: [asdict(t) for t in ts] for u, ts in us.items()} for m, us in comparison.times.items()},
    }
    title = "Distillex: student against teacher, served"
    parts = report_parts(comparison, machine | {"teacher": teacher}, verdicts)
    report = page.write_report(asked.output, "compare", title, parts, figures)
    for text, good in verdicts:
        print(("ok     " if good else "FAILED ") + text)
    print(f"report: {report}")
    return 0 if all(good for _, good in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
