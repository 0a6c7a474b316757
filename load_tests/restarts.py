"""Check that clients lose no call while parts of the server are killed, or while it restarts.

    python load_tests/restarts.py                          # each process in turn, 5,000 calls each
    python load_tests/restarts.py --kill extractor serve   # these alone
    python load_tests/restarts.py -- --student msra        # options of `distillex serve` after --

Starts `distillex serve` on free ports, sends calls from many callers, and kills (SIGKILL) one of its processes when a
fifth of the calls is answered. `restart` ends `distillex serve` by SIGTERM and starts it again, `serve` does so by
SIGKILL. Ends with 1 where a call was lost: raised an error, or answered something else than before.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import psutil
from distillex_client import AsyncExtractor, Entity, Extractor, ExtractorError, Retries
from distillex_serving.preconditions import free_port
from distillex_serving.processes import status_of
from distillex_serving.supervision import RestartPolicy

TEXT = "华为技术有限公司与复旦大学签署协议。"
# The recipe of docs/how-to/client.md.
TIMEOUT_S = 600.0
RETRIES = Retries(attempts=200)
RESTART, SERVE = "restart", "serve"
START_TIMEOUT_S = 120.0


class Served:
    """``distillex serve`` as a process, on ports that it has again when it is started again."""

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        ports = [f"--{what}-port={free_port()}" for what in ("grpc", "http", "metrics")]
        self._command = [sys.executable, "-m", "distillex.command.main", "serve", *ports, *arguments]
        self.log: deque[str] = deque(maxlen=200)
        self.url = ""

    def __enter__(self) -> Served:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(signal.SIGTERM)

    def start(self) -> None:
        """Start it; raises RuntimeError where it does not become ready."""
        environment = os.environ | {"COLUMNS": "200"}
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self.process, ready), daemon=True)
        self._reader.start()
        if not ready.wait(START_TIMEOUT_S) or not self.url:
            self.end(signal.SIGKILL)
            raise RuntimeError("distillex serve did not start:\n" + "\n".join(self.log))

    def end(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(60)
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def processes(self) -> dict[str, int]:
        """Return what runs under it: ``tritonserver``, the model instance of each stub, other services' names."""
        found = {}
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                name, arguments = process.name(), process.cmdline()
            except psutil.NoSuchProcess:
                continue
            found[arguments[-2] if name.startswith("triton_python") and len(arguments) > 1 else name] = process.pid
        return found

    def kill(self, name: str) -> None:
        """Kill one of :meth:`processes` and wait until it is dead."""
        pid = self.processes()[name]
        os.kill(pid, signal.SIGKILL)
        while status_of(pid) is not None:
            time.sleep(0.001)

    def _read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        if process.stdout is None:
            return
        for line in process.stdout:
            self.log.append(line.rstrip())
            if match := re.search(r"ready: gRPC (\S+?),? ", line):
                self.url = match[1]
                ready.set()
        ready.set()


@dataclass
class Calls:
    """What became of the calls of one case."""

    wanted: int
    answered: list[float] = field(default_factory=list)
    """When, in seconds of ``time.monotonic()``."""
    lost: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    began: int = 0
    hit: float = 0.0
    """When something was killed."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def begin(self) -> bool:
        """Count a call that begins; False where none is wanted any more."""
        with self._lock:
            self.began += 1
            return self.began <= self.wanted

    def note(self, began: float, problem: str | None) -> None:
        """Count a call that ended."""
        now = time.monotonic()
        with self._lock:
            self.longest_s = max(self.longest_s, now - began)
            if problem is None:
                self.answered.append(now)
            else:
                self.lost.append(problem)

    def outage_s(self) -> float:
        """Return the longest time without an answer since the kill."""
        moments = [self.hit, *sorted(moment for moment in self.answered if moment > self.hit)]
        return max((later - earlier for earlier, later in pairwise(moments)), default=0.0)


def send_calls(url: str, calls: Calls, callers: int) -> list[threading.Thread]:
    """Begin to send calls, one half of the callers as threads and the other as tasks; return what to wait for."""
    with Extractor(url, timeout_s=TIMEOUT_S, retries=RETRIES) as extractor:
        expected = extractor.extract(TEXT)
    threads = [
        threading.Thread(target=_call_in_threads, args=(url, calls, callers - callers // 2, expected)),
        threading.Thread(target=lambda: asyncio.run(_call_in_tasks(url, calls, callers // 2, expected))),
    ]
    for thread in threads:
        thread.start()
    return threads


def _call_in_threads(url: str, calls: Calls, callers: int, expected: list[Entity]) -> None:
    def call_on() -> None:
        while calls.begin():
            began = time.monotonic()
            try:
                calls.note(began, _difference(extractor.extract(TEXT), expected))
            except ExtractorError as error:
                calls.note(began, f"{type(error).__name__}: {error}")

    with (
        Extractor(url, timeout_s=TIMEOUT_S, retries=RETRIES) as extractor,
        ThreadPoolExecutor(max(1, callers)) as pool,
    ):
        for done in [pool.submit(call_on) for _ in range(callers)]:
            done.result()


async def _call_in_tasks(url: str, calls: Calls, callers: int, expected: list[Entity]) -> None:
    async def call_on() -> None:
        while calls.begin():
            began = time.monotonic()
            try:
                calls.note(began, _difference(await extractor.extract(TEXT), expected))
            except ExtractorError as error:
                calls.note(began, f"{type(error).__name__}: {error}")

    async with AsyncExtractor(url, timeout_s=TIMEOUT_S, retries=RETRIES) as extractor:
        await asyncio.gather(*(call_on() for _ in range(callers)))


def _difference(found: list[Entity], expected: list[Entity]) -> str | None:
    return None if found == expected else f"answered {found}"


def run_case(served: Served, target: str, calls_wanted: int, callers: int) -> Calls:
    """Send calls, and kill ``target`` when a fifth of them is answered.

    Raises
    ------
    ValueError
        When there is no such process.
    """
    if target not in (RESTART, SERVE) and target not in served.processes():
        raise ValueError(f"{target!r} does not run; there are {', '.join(cases_of(served))}")
    calls = Calls(calls_wanted)
    threads = send_calls(served.url, calls, callers)
    while len(calls.answered) + len(calls.lost) < calls_wanted // 5 and any(each.is_alive() for each in threads):
        time.sleep(0.005)
    calls.hit = time.monotonic()
    if target in (RESTART, SERVE):
        served.end(signal.SIGTERM if target == RESTART else signal.SIGKILL)
        served.start()
    else:
        served.kill(target)
    for thread in threads:
        thread.join()
    return calls


def cases_of(served: Served) -> list[str]:
    """Return all that can be killed: every process, and ``distillex serve`` itself in two ways."""
    return [*sorted(served.processes()), RESTART, SERVE]


def wait_until_whole(served: Served, names: set[str], timeout_s: float = START_TIMEOUT_S) -> None:
    """Wait until all processes run again; raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    with Extractor(served.url, timeout_s=5.0, retries=Retries(attempts=1)) as extractor:
        while set(served.processes()) != names or not extractor.is_ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{sorted(names - set(served.processes()))} did not come back")
            time.sleep(0.1)


def main() -> None:
    """Run the cases and print what became of the calls."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=5000, help="Of each case")
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument(
        "--kill", nargs="*", default=[], help="Names of processes (a beginning is enough), restart, serve"
    )
    parser.add_argument("--log", type=Path, help="Write what the server printed")
    parser.add_argument("serve", nargs="*", help="After --: options of distillex serve")
    options = parser.parse_args()
    lost = 0
    with Served(options.serve) as served:
        names = set(served.processes())
        cases = [case for case in cases_of(served) if not options.kill or case.startswith(tuple(options.kill))]
        print(f"{options.calls:,} calls a case, {options.callers} callers, {served.url}")
        print(f"{'killed':<16}{'lost':>6}{'answered':>10}{'no answer for':>15}{'longest call':>14}")
        for case in cases:
            # Each case shows a first restart, not the longer wait after several in a row.
            time.sleep(RestartPolicy().calm_s)
            calls = run_case(served, case, options.calls, options.callers)
            lost += len(calls.lost)
            print(
                f"{case:<16}{len(calls.lost):>6}{len(calls.answered):>10}{calls.outage_s():>13.2f} s"
                f"{calls.longest_s:>12.2f} s",
                flush=True,
            )
            for problem in sorted(set(calls.lost))[:10]:
                print(f"    {calls.lost.count(problem)} x {problem}")
            wait_until_whole(served, names)
        if options.log:
            options.log.write_text("\n".join(served.log) + "\n", encoding="utf-8")
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
