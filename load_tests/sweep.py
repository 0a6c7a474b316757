"""Which settings of the served model are the fastest here? Measures, chooses, and writes the chosen ones back.

    python load_tests/sweep.py                                    # measure; report in reports/load/sweep.{html,json}
    python load_tests/sweep.py --write                            # … and write configuration and docs/how-to/serving.md
    python load_tests/sweep.py --apply reports/load/sweep.json    # write what an earlier sweep chose

1. Saturation: users are doubled until throughput grows no more (by 5 %).
2. One setting after the other: each of its values is served by a server of its own and measured with one user who sends
   single texts, then with as many users as saturate the server and traffic.py's mixture; several rounds, alternating.
   What is chosen for one setting holds for those after it.
3. With the settings chosen: where the time of a request goes, by Triton's statistics.

A value is chosen over the one in use when it raises throughput by at least 3 % without raising the p50 of one user by
more than 5 %, when it raises throughput by at least 10 % and that p50 by no more than 10 %, or when it lowers that p50
by at least 5 % without losing more than 2 % of throughput; and when it does so in every single round, so that noise
alone changes nothing.

20 values; takes rounds x 20 x (2 stages x (seconds + 4 s) + 3 s): with --rounds 3 --seconds 5 about 21 minutes.
--only instances,queue restricts the sweep to settings whose names begin so.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import page
import tritonclient.grpc as triton
from distillex_serving.locations import shipped_configurations
from machine import describe_machine
from settings import CONFIGURATION, SETTINGS, Setting, current_values, read_configuration, with_value
from stage import Stage, StageResult, run_stage
from sweep_document import write_choices
from triton_statistics import ModelTime, TritonStatistics
from under_load import MODEL, server

SINGLE = {"single": 1.0}
MOST_USERS = 64
SATURATED = 1.05
FASTER, NOT_SLOWER = 1.03, 0.98
MUCH_FASTER, LITTLE_SLOWER = 1.1, 1.1
LOWER_LATENCY, SAME_LATENCY = 0.95, 1.05
TEXT = "华为技术有限公司昨天与复旦大学在上海签署了一份合作协议书。"


@dataclass(frozen=True)
class Figures:
    """What was measured of one value: medians over the rounds."""

    texts_per_s: float
    """At saturation."""
    p95_ms: float
    """At saturation."""
    single_p50_ms: float
    """Of one user who sends single texts."""
    single_p99_ms: float
    first_request_ms: float
    """The first request after the start."""
    errors: int
    texts_per_s_by_round: tuple[float, ...]
    single_p50_ms_by_round: tuple[float, ...]


@dataclass(frozen=True)
class Trial:
    """All values of one setting."""

    setting: str
    in_use: str
    figures: dict[str, Figures]
    chosen: str


def find_saturation(url: str, seconds: float) -> tuple[int, list[StageResult]]:
    """Double the users until throughput grows no more; return the smallest number within 5 % of the best, and all."""
    results: list[StageResult] = []
    users = 1
    while users <= MOST_USERS:
        results.append(run_stage(Stage(MODEL, users, seconds), url))
        print(_line(f"{users} users", results[-1]), flush=True)
        if len(results) > 2 and results[-1].texts_per_s < SATURATED * results[-3].texts_per_s:
            break
        users *= 2
    best = max(result.texts_per_s for result in results)
    return next(r.users for r in results if r.texts_per_s * SATURATED >= best), results


def measure(repository: Path, users: int, seconds: float, seed: int) -> tuple[StageResult, StageResult, float]:
    """Start a server on a repository; return a single user's stage, a saturated one, the first request's ms."""
    with server(repository) as running:
        first = first_request_ms(running.grpc_url)
        single = run_stage(Stage(MODEL, 1, seconds, seed=seed, shares=SINGLE), running.grpc_url)
        saturated = run_stage(Stage(MODEL, users, seconds, seed=seed), running.grpc_url)
    return single, saturated, first


def first_request_ms(url: str) -> float:
    """Return how long a fresh server takes for its first request."""
    client = triton.InferenceServerClient(url)
    client.is_server_live()
    tensor = triton.InferInput("TEXT", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[TEXT.encode()]], dtype=np.object_))
    began = time.perf_counter()
    client.infer(MODEL, [tensor])
    taken = (time.perf_counter() - began) * 1000
    client.close()
    return taken


def try_setting(setting: Setting, text: str, users: int, rounds: int, seconds: float) -> Trial:
    """Measure every value of a setting, the one in use included, in alternating rounds."""
    in_use = setting.read(text)
    values = list(dict.fromkeys((in_use, *setting.values)))
    measured: dict[str, list[tuple[StageResult, StageResult, float]]] = {value: [] for value in values}
    for number in range(rounds):
        for value in values if number % 2 == 0 else reversed(values):
            with tempfile.TemporaryDirectory(prefix="distillex-sweep-") as folder:
                repository = repository_with(with_value(text, setting, value), Path(folder))
                measured[value].append(measure(repository, users, seconds, number + 1))
            print(_line(f"{setting.name} = {value}", measured[value][-1][1]), flush=True)
    figures = {value: _figures(runs) for value, runs in measured.items()}
    return Trial(setting.name, in_use, figures, choose(in_use, figures))


def choose(in_use: str, figures: Mapping[str, Figures]) -> str:
    """Return the value to use: the one in use unless another is better by the rule above."""
    chosen = in_use
    for value, candidate in figures.items():
        best = figures[chosen]
        throughput = candidate.texts_per_s / best.texts_per_s
        latency = candidate.single_p50_ms / best.single_p50_ms
        faster = throughput >= FASTER and latency <= SAME_LATENCY
        faster |= throughput >= MUCH_FASTER and latency <= LITTLE_SLOWER
        faster &= _always_less(best.texts_per_s_by_round, candidate.texts_per_s_by_round)
        quicker = latency <= LOWER_LATENCY and throughput >= NOT_SLOWER
        quicker &= _always_less(candidate.single_p50_ms_by_round, best.single_p50_ms_by_round)
        if candidate.errors == 0 and (faster or quicker):
            chosen = value
    return chosen


def _always_less(low: Sequence[float], high: Sequence[float]) -> bool:
    return all(a < b for a, b in zip(low, high, strict=True))


def repository_with(text: str, folder: Path) -> Path:
    """Copy the models' configurations, the swept one with another text."""
    target = shutil.copytree(shipped_configurations(), folder / "model_repository")
    (target / CONFIGURATION).write_text(text, encoding="utf-8")
    return target


def breakdown(repository: Path, loads: Sequence[tuple[str, Stage]]) -> dict[str, list[ModelTime]]:
    """Return Triton's per-model times under each load."""
    times = {}
    with server(repository) as running:
        statistics = TritonStatistics(running.grpc_url, (MODEL,))
        for name, stage in loads:
            statistics.restart()
            run_stage(stage, running.grpc_url)
            times[name] = statistics.times()
        statistics.close()
    return times


def _figures(runs: Sequence[tuple[StageResult, StageResult, float]]) -> Figures:
    singles, saturated, firsts = zip(*runs, strict=True)
    return Figures(
        texts_per_s=median(r.texts_per_s for r in saturated),
        p95_ms=median(r.percentile(95) for r in saturated),
        single_p50_ms=median(r.percentile(50) for r in singles),
        single_p99_ms=median(r.percentile(99) for r in singles),
        first_request_ms=median(firsts),
        errors=sum(r.errors for r in (*singles, *saturated)),
        texts_per_s_by_round=tuple(r.texts_per_s for r in saturated),
        single_p50_ms_by_round=tuple(r.percentile(50) for r in singles),
    )


def _line(name: str, result: StageResult) -> str:
    return (
        f"{name:75} {result.texts_per_s:8.1f} sentences/s, p50 {result.percentile(50):7.2f} ms, "
        f"p95 {result.percentile(95):7.2f} ms, {result.errors} errors"
    )


def sweep(only: tuple[str, ...], rounds: int, seconds: float) -> dict[str, Any]:
    """Measure everything; return the report's figures."""
    machine = describe_machine()
    text = read_configuration(shipped_configurations())
    print("saturation, with the settings in use:")
    with server() as running:
        users, saturation = find_saturation(running.grpc_url, seconds)
    print(f"saturated with {users} users")
    trials = []
    for setting in SETTINGS:
        if not setting.name.startswith(only):
            continue
        trial = try_setting(setting, text, users, rounds, seconds)
        print(f"chosen: {trial.setting} = {trial.chosen} (was {trial.in_use})")
        text = with_value(text, setting, trial.chosen)
        trials.append(trial)
    with tempfile.TemporaryDirectory(prefix="distillex-sweep-") as folder:
        loads = [
            ("1 user, single texts", Stage(MODEL, 1, seconds, shares=SINGLE)),
            (f"{users} users", Stage(MODEL, users, seconds)),
        ]
        times = breakdown(repository_with(text, Path(folder)), loads)
    return {
        "machine": machine,
        "rounds": rounds,
        "seconds": seconds,
        "saturation_users": users,
        "saturation": [result.summary() for result in saturation],
        "trials": [asdict(trial) for trial in trials],
        "values": current_values(text),
        "times": {load: [asdict(time) | {"batch": time.batch} for time in each] for load, each in times.items()},
    }


def report_parts(figures: Mapping[str, Any]) -> list[str]:
    """Return the report's pieces of HTML."""
    head = ["value", "sentences/s", "p95 ms", "one user p50 ms", "one user p99 ms", "first request ms", "errors", ""]
    parts = [page.heading("Machine"), page.facts(figures["machine"]), page.heading("Saturation")]
    columns = ("users", "texts_per_s", "calls_per_s", "p50_ms", "p95_ms", "p99_ms", "errors")
    parts.append(page.table(columns, [[stage[column] for column in columns] for stage in figures["saturation"]]))
    for trial in figures["trials"]:
        rows = [
            [
                value,
                *(
                    f[k]
                    for k in ("texts_per_s", "p95_ms", "single_p50_ms", "single_p99_ms", "first_request_ms", "errors")
                ),
                "chosen" if value == trial["chosen"] else "",
            ]
            for value, f in trial["figures"].items()
        ]
        parts += [page.heading(trial["setting"]), page.table(head, rows)]
    return parts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a stage")
    parser.add_argument("--only", default="", help="beginnings of settings' names, separated by commas")
    parser.add_argument("--write", action="store_true", help="write the chosen settings and docs/how-to/serving.md")
    parser.add_argument("--apply", type=Path, help="do not measure: write what this sweep.json chose")
    parser.add_argument("--output", type=Path, default=Path("reports/load"))
    asked = parser.parse_args(arguments)
    if asked.apply is not None:
        figures = json.loads(asked.apply.read_text(encoding="utf-8"))
    else:
        figures = sweep(tuple(asked.only.split(",")), asked.rounds, asked.seconds)
        report = page.write_report(asked.output, "sweep", "Distillex: settings", report_parts(figures), figures)
        print(f"report: {report}")
    if asked.write or asked.apply is not None:
        for path in write_choices(figures):
            print(f"written: {path}")
    failed = sum(f["errors"] for trial in figures["trials"] for f in trial["figures"].values())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
