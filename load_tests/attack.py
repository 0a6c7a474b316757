"""Does the server survive its enemies? Hostile requests through the gate, good ones between them.

    python load_tests/attack.py [--requests 100000] [--rounds 5] [--seed 0] [--most-growth-mib 400]

Starts the embedded server behind the gate on free ports of 127.0.0.1. Then, while another caller sends good requests
one after the other: every request of :mod:`hostile`'s list; requests as large as the gate lets through; uploads that
never end; connections that speak no gRPC; calls that are taken back; and mutated requests until so many have reached
the models' own code, which Triton's statistics count. Takes about 5 minutes on 2 cores.

Exit codes: 0; 1 a process died, a good request was not answered, a listed request was answered wrongly, an answer told
of files or code, or memory grew by more than --most-growth-mib.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median

import hostile
from distillex.locations import shipped_lexicons
from distillex_matcher import Lexicon
from distillex_serving.embedded import EmbeddedServer, ServerOptions
from distillex_serving.gate import Gate, GateLimits, put_gate_before
from distillex_serving.processes import session_members
from distillex_serving.repository import Layout
from machine import describe_machine
from resources import Sampler

TOKEN = "a token for the attack alone"
MAX_REQUEST_BYTES = 8 * 2**20
MIB = 2**20
CALLERS = 8
LARGE_CALLERS = 32
REFUSALS = ("OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED")
NOT_PARSED = "Unable to parse request"
"""What gRPC itself says of a message that is no protobuf."""


@dataclass
class Report:
    """What an attack did."""

    problems: list[str] = field(default_factory=list)
    """Each is a reason to fail."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Of the hostile requests."""
    reached: int = 0
    """Requests that reached the models' own code."""
    good: int = 0
    good_ms: list[float] = field(default_factory=list)
    """Of the good requests, one after the other."""
    start_mib: float = 0.0
    peak_mib: float = 0.0
    end_mib: float = 0.0
    seconds: float = 0.0

    @property
    def growth_mib(self) -> float:
        """Highest resident memory less the one at the start."""
        return self.peak_mib - self.start_mib

    def describe(self) -> str:
        """Return the figures for people."""
        answers = ", ".join(f"{name} {count:,}" for name, count in self.statuses.most_common())
        figures = (
            f"{sum(self.statuses.values()):,} hostile requests in {self.seconds:.0f} s ({answers})\n"
            f"{self.reached:,} requests reached the models' code\n"
            f"{self.good:,} good requests between them, p50 {median(self.good_ms or [0]):.1f} ms, "
            f"longest {max(self.good_ms or [0]):,.0f} ms\n"
            f"resident memory of server, stubs and gate: {self.start_mib:.0f} MiB at the start, "
            f"{self.peak_mib:.0f} at most, {self.end_mib:.0f} at the end\n"
        )
        return figures + (
            "\n".join(f"PROBLEM: {problem}" for problem in self.problems[:20]) or "no process died, nothing was lost"
        )


class Target:
    """A server behind a gate, and what is watched of it."""

    def __init__(self, server: EmbeddedServer, gate: Gate) -> None:
        self.server = server
        self.gate = gate
        self.processes = self._processes()

    def deaths(self) -> list[str]:
        """Name the processes that were there at the start and are not now."""
        now = self._processes()
        return [name for pid, name in self.processes.items() if pid not in now]

    def reached(self) -> int:
        """Count the requests that the models' own code has answered or refused."""
        with urllib.request.urlopen(self.server.metrics_url, timeout=30) as answer:
            text = answer.read().decode()
        pattern = r'nv_inference_request_(?:success|failure)\{[^}]*model="(?:extractor|lexicons)"[^}]*\} (\d+)'
        return sum(map(int, re.findall(pattern, text)))

    def _processes(self) -> dict[int, str]:
        found = dict(session_members(self.server.pid or 0))
        if self.gate.pid is not None:
            found |= session_members(self.gate.pid)
        return found


@contextlib.contextmanager
def target(layout: Layout = Layout.FUSED) -> Iterator[Target]:
    """Start a server behind a gate, with lexicons of its own."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        lexicons = Path(folder) / "lexicons"
        shutil.copytree(shipped_lexicons(), lexicons)
        options = ServerOptions(
            layout=layout, lexicon_directory=lexicons, grpc_port=0, http_port=0, metrics_port=0, admin_token=TOKEN
        )
        gate, behind = put_gate_before(options, GateLimits(MAX_REQUEST_BYTES))
        stack.callback(gate.close)
        server = stack.enter_context(EmbeddedServer(behind))
        gate.start()
        yield Target(server, gate)


def attack(
    aim: Target, *, requests: int, rounds: int, large: int, uploads: int, seed: int, most_growth_mib: float
) -> Report:
    """Run the whole attack."""
    report = Report()
    began = time.monotonic()
    stop = threading.Event()
    with Sampler(aim.server, 0.1) as sampler:
        sampler.watch("gate", aim.gate.pid or 0)
        _call_well(aim, report, stop, calls=200)
        report.start_mib = _resident_mib(sampler)
        good = threading.Thread(target=_call_well, args=(aim, report, stop))
        good.start()
        try:
            for _ in range(rounds):
                _send_list(aim, report)
                _speak_no_grpc(aim)
            _send_large(aim, report, large)
            for _ in range(rounds):
                hostile.hold_uploads("127.0.0.1", aim.gate.port, uploads, 60, 900_000, 8.0)
            _send_mutations(aim, report, requests, seed)
        finally:
            stop.set()
            good.join()
        time.sleep(1)
        report.end_mib = _resident_mib(sampler)
        report.peak_mib = _peak_mib(sampler)
    report.reached = aim.reached()
    report.seconds = time.monotonic() - began
    report.problems += [f"{name} died" for name in aim.deaths()]
    if report.growth_mib > most_growth_mib:
        report.problems.append(
            f"memory grew by {report.growth_mib:.0f} MiB; at most {most_growth_mib:.0f} are accepted"
        )
    return report


def _call_well(aim: Target, report: Report, stop: threading.Event, calls: int | None = None) -> None:
    message = hostile.infer_request(hostile.TEXT).SerializeToString()
    with hostile.Caller(aim.gate.grpc_url) as caller:
        first = caller.call(hostile.INFER, message)[0]
        while not stop.is_set() and calls != 0:
            began = time.perf_counter()
            status, said = caller.call(hostile.INFER, message, timeout_s=30)
            report.good_ms.append((time.perf_counter() - began) * 1000)
            report.good += 1
            if (first, status) != ("OK", "OK"):
                report.problems.append(f"a good request was answered with {status} {said[:200]}")
            if calls is not None:
                calls -= 1


def _send_list(aim: Target, report: Report) -> None:
    with hostile.Caller(aim.gate.grpc_url) as caller:
        for each in hostile.listed_requests(MAX_REQUEST_BYTES):
            status, said = each.send(caller)
            report.statuses[status] += 1
            if status not in each.expected:
                report.problems.append(f"{each.name}: {status} {said[:200]!r} in place of {' or '.join(each.expected)}")
            _look_for_leaks(report, each.name, status, said)
            if deaths := aim.deaths():
                report.problems.append(f"{each.name}: {', '.join(deaths)} died")
                return


def _speak_no_grpc(aim: Target) -> None:
    good = hostile.infer_request(hostile.TEXT).SerializeToString()
    host, port = "127.0.0.1", aim.gate.port
    hostile.hostile_connections(host, port, 3)
    hostile.two_messages_in_one_call(host, port, good)
    hostile.compressed_flag_without_encoding(host, port, good)
    idle = threading.Thread(target=hostile.open_idle_connections, args=(host, port, 100, 1.0))
    idle.start()
    with hostile.Caller(aim.gate.grpc_url) as caller:
        for _ in range(300):
            caller.cancel_at_once(good)
    idle.join()


def _send_large(aim: Target, report: Report, count: int) -> None:
    message = hostile.infer_request({"TEXT": [b"x" * (MAX_REQUEST_BYTES - 1000)]}).SerializeToString()

    def send(_: int) -> str:
        with hostile.Caller(aim.gate.grpc_url) as caller:
            return caller.call(hostile.INFER, message)[0]

    with ThreadPoolExecutor(LARGE_CALLERS) as pool:
        for status in pool.map(send, range(count)):
            report.statuses[status] += 1
            if status not in ("INVALID_ARGUMENT", "UNAVAILABLE", "INTERNAL"):  # INTERNAL: ended, the gate is full
                report.problems.append(f"a large request was answered with {status}")


def _send_mutations(aim: Target, report: Report, requests: int, seed: int) -> None:
    lock = threading.Lock()
    goal = aim.reached() + requests
    lexicon = _small_lexicon()

    def send(number: int) -> None:
        mutations = hostile.Mutations(seed * 1000 + number, TOKEN, lexicon)
        with hostile.Caller(aim.gate.grpc_url) as caller:
            while not aim.deaths() and aim.reached() < goal:
                for message in islice(mutations, 200):
                    status, said = caller.call(hostile.INFER, message)
                    with lock:
                        report.statuses[status] += 1
                        if status not in REFUSALS and said != NOT_PARSED:
                            report.problems.append(f"a mutated request was answered with {status} {said[:200]!r}")
                        _look_for_leaks(report, "a mutated request", status, said)

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(send, range(CALLERS)))


def _small_lexicon() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz.lex"
        Lexicon.from_words({"闪电鲸": "company", "青石云科": "company"}).save(path)
        return path.read_bytes()


def _look_for_leaks(report: Report, name: str, status: str, said: str) -> None:
    if status != "OK" and (told := next((word for word in hostile.NEVER_ACCEPTABLE if word in said), None)):
        report.problems.append(f"{name}: the answer holds {told!r}: {said[:200]!r}")


def _resident_mib(sampler: Sampler) -> float:
    return sum(sampler.memory_of(name)[1][-1] for name in sampler.names()) / MIB


def _peak_mib(sampler: Sampler) -> float:
    # Samples of all processes are taken in turn: the k-th of each belong to one moment.
    columns = [sampler.memory_of(name)[1] for name in sampler.names()]
    return float(max(sum(moment) for moment in zip(*columns, strict=False))) / MIB


def main() -> int:
    """Attack, print, and tell whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, help="mutated requests that reach the models' code")
    parser.add_argument("--rounds", type=int, default=5, help="times that the list is sent")
    parser.add_argument("--large", type=int, default=200, help="requests as large as the gate lets through")
    parser.add_argument("--uploads", type=int, default=20, help="connections that begin 60 requests each and end none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most-growth-mib", type=float, default=400.0)
    arguments = parser.parse_args()
    print(", ".join(f"{name}: {value}" for name, value in describe_machine().items()))
    with target() as aim:
        report = attack(
            aim,
            requests=arguments.requests,
            rounds=arguments.rounds,
            large=arguments.large,
            uploads=arguments.uploads,
            seed=arguments.seed,
            most_growth_mib=arguments.most_growth_mib,
        )
    print(report.describe())
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
