"""How many cores for so many texts a day: measures the constants of the formula in docs/how-to/operations.md.

    python benchmarks/capacity.py [--seconds 20] [--users 16] [--write]

One server, load_tests' own users (Locust, the mixture of traffic.py), client and server on the same cores:

1. users who call as fast as answers come: characters that a core of the server computes in a second, for the mixture,
   for single texts alone and for batches alone;
2. the same users at shares of the mixture's rate: p50 and p99 against the share of its highest rate.

Prints the constants, and the cores that 10^6 and 10^9 texts a day need. `--write` puts both into
docs/how-to/operations.md.
Exit code 1 where other work had so much of the machine that the figures say nothing.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "load_tests"))

from distillex_matcher.cores import usable_cores
from machine import describe_machine
from operations_page import machine_line, write_section
from resources import Sampler
from stage import Stage, StageResult, run_stage
from traffic import Traffic
from under_load import MODEL, server

SHARES_OF_LOAD = (0.25, 0.5, 0.6, 0.7, 0.8)
BOUNDS_MS = (25, 50, 100, 200)
TEXTS_A_DAY = (10**6, 10**9)
PEAK = 3.0
"""The busiest hour of a day against the mean: an assumption, like the mixture itself."""
CORES_A_SERVER = 2
"""What the chart asks for (server.resources)."""
SECONDS_A_DAY = 86_400
LEAST_SHARE = 0.4
"""Of the usable cores, which the server has at saturation where only its own clients take some too."""


@dataclass(frozen=True)
class Constants:
    """What was measured."""

    characters_a_text: float
    rates: dict[str, float]
    """Kind of traffic → characters that a core of the server computes in a second, saturated."""
    server_cores: float
    """Cores that the server had at saturation; the client had the others."""
    loads: list[tuple[float, float, float]]
    """Share of the highest rate, p50 and p99 of all calls in ms."""

    def highest_share(self, bound_ms: float) -> float | None:
        """Return the largest share of the highest rate at which, and below which, p99 is within a bound."""
        found = None
        for share, _, p99 in sorted(self.loads):
            if p99 > bound_ms:
                break
            found = share
        return found

    def cores(self, characters_a_second: float, share: float) -> float:
        """Return the cores for so many characters a second of the mixture at a share of the highest rate."""
        return characters_a_second / (self.rates["mixture"] * share)


def measure(seconds: float, users: int) -> Constants:
    """Run the stages against one server."""
    mean = mean_characters()
    running = server()
    with running, Sampler(running) as sampler:

        def run(shares: dict[str, float] | None = None, rate: float = 0.0) -> StageResult:
            return run_stage(Stage(MODEL, users, seconds, user_rate=rate, shares=shares), running.grpc_url, sampler)

        run(None)  # once around, so that nothing is new to the server
        saturated = {"mixture": run(), "single": run({"single": 1.0}), "batch": run({"batch": 1.0})}
        rates = {kind: mean * each.texts_per_s / server_cores(each) for kind, each in saturated.items()}
        loads = []
        for share in SHARES_OF_LOAD:
            stage = run(rate=share * saturated["mixture"].calls_per_s / users)
            real = stage.calls_per_s / saturated["mixture"].calls_per_s
            loads.append((real, stage.percentile(50), stage.percentile(99)))
            print(
                f"{real:.2f} of {saturated['mixture'].calls_per_s:,.0f} calls/s: p99 {loads[-1][2]:.1f} ms", flush=True
            )
    return Constants(mean, rates, server_cores(saturated["mixture"]), loads)


def server_cores(stage: StageResult) -> float:
    """Return the cores that the server's processes used in a stage."""
    return sum(cores for name, cores in stage.cpu_cores.items() if name not in ("client", "shared memory"))


def mean_characters(calls: int = 2000) -> float:
    """Return the mean length of the mixture's texts."""
    traffic = Traffic()
    texts = [
        text for _, call in zip(range(calls), traffic, strict=False) for request in call.requests for text in request
    ]
    return sum(map(len, texts)) / len(texts)


def describe(found: Constants) -> list[str]:
    """Return the constants and the plans as Markdown."""
    lines = [
        f"| traffic ({found.characters_a_text:.1f} characters a text) | characters/s a core | texts/s a core |",
        "|---|---|---|",
    ]
    for kind, rate in found.rates.items():
        lines.append(f"| {kind} | {rate:,.0f} | {rate / found.characters_a_text:,.0f} |")
    lines += ["", "| share of the highest rate | p50 ms | p99 ms |", "|---|---|---|"]
    lines += [f"| {share:.2f} | {p50:.1f} | {p99:.1f} |" for share, p50, p99 in found.loads]
    lines += ["", "| texts a day | characters/s in the busiest hour | p99 within | share s | cores | servers |"]
    lines += ["|---|---|---|---|---|---|"]
    for texts in TEXTS_A_DAY:
        characters = PEAK * texts * found.characters_a_text / SECONDS_A_DAY
        for bound in BOUNDS_MS:
            share = found.highest_share(bound)
            if share is None:
                lines.append(f"| {texts:,} | {characters:,.0f} | {bound} ms | not reached | | |")
                continue
            cores = found.cores(characters, share)
            servers = max(2, math.ceil(cores / CORES_A_SERVER) + 1)
            lines.append(f"| {texts:,} | {characters:,.0f} | {bound} ms | {share:.2f} | {cores:,.2f} | {servers:,} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="Of each stage")
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--write", action="store_true", help="Write the tables into docs/how-to/operations.md")
    options = parser.parse_args(arguments)
    machine = describe_machine()
    found = measure(options.seconds, options.users)
    note = (
        f"The server had {found.server_cores:.2f} cores at saturation; {options.users} users on the same machine had "
        f"the rest. Stages of {options.seconds:g} s."
    )
    lines = [machine_line(machine), note, "", *describe(found)]
    print("\n".join(lines))
    if found.server_cores < LEAST_SHARE * usable_cores():
        print(
            f"the server had {found.server_cores:.2f} of {usable_cores()} cores at saturation: other work had the "
            "machine; these figures say nothing about a quiet one, and nothing is written",
            file=sys.stderr,
        )
        return 1
    if options.write:
        write_section("capacity.py", lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
