"""What callers notice when a part of a deployment dies, and how long until it is whole again.

    python benchmarks/recovery_times.py                   # every case, some minutes
    python benchmarks/recovery_times.py --cases envoy disk

Runs two `distillex serve` and a `distillex gate` before them on this machine, and callers who try nothing again: plain
gRPC, the next call when the last one has ended. Breaks one thing after the other, as a machine or a person would, and
prints a table:

- failed: calls that ended with an error, and of how many (a caller waits 20 ms after an error);
- errors for: from the break to the last failed call;
- no answer for: the longest time in which no caller had an answer;
- whole after: from the break until both servers, and what was broken, work again, what a person does included (which
  here is done at once; where it says "mended at", so many seconds after the break).

The case "disk" needs the right to mount a small file system, and is left out without it. Exit code 1 where something
did not come back.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from distillex.lexicon_backup import restore_backup, write_backup
from distillex.lexicon_server import send_command
from distillex.locations import shipped_lexicons
from distillex_client.errors import ExtractorError
from distillex_matcher import Lexicon
from distillex_matcher.lexicon_store import LexiconStore
from distillex_serving.processes import status_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "load_tests"))

from deployment import GateProcess, two_servers
from machine import describe_machine
from operations_page import machine_line, write_section
from restarts import Served

TOKEN = "a token for this measurement alone"
TEXT = "青石云科发布了新产品。"
NAME = "finance"
AFTER_ERROR_S = 0.02
CALL_TIMEOUT_S = 120.0
LONGEST_S = 300.0
DISK_MIB = 24
"""Of the file system of the lexicons: the base lexicon has 16."""
SETTLE_S = 12.0
"""So long without a failure, and the next restart of a part is a first one again."""


class NotBackError(RuntimeError):
    """Something did not come back."""


@dataclass
class Record:
    """What became of the calls since a moment."""

    began: float
    answered: list[float] = field(default_factory=list)
    failed: list[tuple[float, str]] = field(default_factory=list)


class Callers:
    """Callers without retries, from threads of this process."""

    def __init__(self, url: str, number: int) -> None:
        self._url, self._stop = url, threading.Event()
        self.record = Record(time.monotonic())
        self._threads = [threading.Thread(target=self._call) for _ in range(number)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def begin(self) -> Record:
        """Forget what was; return what is from now on."""
        self.record = Record(time.monotonic())
        return self.record

    def _call(self) -> None:
        import tritonclient.grpc as triton

        # A gate that comes back is to be noticed at once: otherwise gRPC's own patience would be measured.
        quick = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]
        tensors = []
        for name, text in (("TEXT", TEXT), ("LEXICON_NAME", NAME)):
            tensors.append(triton.InferInput(name, [1, 1], "BYTES"))
            tensors[-1].set_data_from_numpy(np.array([[text.encode()]], dtype=object))
        with triton.InferenceServerClient(self._url, channel_args=quick) as client:
            while not self._stop.is_set():
                try:
                    client.infer("extractor", tensors, client_timeout=CALL_TIMEOUT_S)
                    self.record.answered.append(time.monotonic())
                except triton.InferenceServerException as error:
                    self.record.failed.append((time.monotonic(), f"{error.status()}: {error.message()}"))
                    self._stop.wait(AFTER_ERROR_S)


@dataclass(frozen=True)
class Deployment:
    """Two servers, a gate, a directory of lexicons and a backup of it."""

    servers: list[Served]
    gate: GateProcess
    directory: Path
    saved: Path
    processes: list[set[str]]
    """Names of each server's processes, when it is whole."""
    small_disk: bool

    def is_whole(self) -> bool:
        """Tell whether every process runs and the gate sends calls to both servers."""
        running = all(
            server.process.poll() is None and set(server.processes()) == names
            for server, names in zip(self.servers, self.processes, strict=True)
        )
        return running and self.gate.process.poll() is None and self.gate.ready_servers() == len(self.servers)

    def wait_until_whole(self) -> None:
        """Wait; raises NotBackError."""
        wait_for(self.is_whole, "two servers that are ready behind the gate")

    def push(self) -> int:
        """Push a lexicon through the gate; return its version."""
        content = Lexicon.from_words({"青石云科": "company"}).to_bytes()
        command = {"action": "push", "name": NAME, "keep": 2}
        return int(send_command(self.gate.url, TOKEN, command, content, timeout_s=60)["version"])

    def restore(self) -> None:
        """Restore the backup."""
        with self.saved.open("rb") as file:
            restore_backup(LexiconStore(self.directory), file)


def _kill_stub(where: Deployment) -> None:
    where.servers[0].kill("extractor_0_0")


def _kill_triton(where: Deployment) -> None:
    where.servers[0].kill("tritonserver")


def _kill_both(where: Deployment) -> None:
    for server in where.servers:
        os.kill(server.processes()["tritonserver"], signal.SIGKILL)


def _kill_serve(where: Deployment) -> None:
    where.servers[0].end(signal.SIGKILL)
    where.servers[0].start()


def _restart_serve(where: Deployment) -> None:
    where.servers[0].end(signal.SIGTERM)
    where.servers[0].start()


def _hang_triton(where: Deployment) -> None:
    server = where.servers[0]
    pid = server.processes()["tritonserver"]
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: server.processes().get("tritonserver", pid) != pid, "another tritonserver")


def _kill_envoy(where: Deployment) -> None:
    pid = where.gate.envoy()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: status_of(pid) is None, "the end of Envoy")


def _kill_gate(where: Deployment) -> None:
    envoy = where.gate.envoy()
    where.gate.end(signal.SIGKILL)
    wait_for(lambda: status_of(envoy) is None, "the end of Envoy")
    where.gate.start()


def _break_version(where: Deployment) -> float:
    folder = where.directory / NAME
    version = int((folder / "CURRENT").read_text(encoding="ascii"))
    (folder / f"{version}.lex").write_bytes(b"\xff" * 1000)
    return _mend_after(3.0, where.restore)


def _break_current(where: Deployment) -> float:
    (where.directory / NAME / "CURRENT").write_bytes(b"\0\0")
    return _mend_after(3.0, where.restore)


def _lose_lexicon(where: Deployment) -> float:
    shutil.rmtree(where.directory / NAME)
    return _mend_after(3.0, where.restore)


def _break_base(where: Deployment) -> float:
    (where.directory / "base" / "1.lex").write_bytes(b"\xff" * 1000)
    where.servers[0].end(signal.SIGTERM)
    began = time.monotonic()
    with contextlib.suppress(RuntimeError):
        where.servers[0].start()
        raise NotBackError("a server started with a broken base lexicon")
    where.restore()
    mended = time.monotonic() - began
    where.servers[0].start()
    return mended


def _fill_disk(where: Deployment) -> float:
    filler = where.directory / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    began = time.monotonic()
    try:
        where.push()
    except ExtractorError as error:
        print(f"    refused: {error}", file=sys.stderr)
    else:
        raise NotBackError("a push onto a full disk was accepted")
    filler.unlink()
    mended = time.monotonic() - began
    where.push()
    return mended


CASES: dict[str, tuple[str, Callable[[Deployment], float | None]]] = {
    "stub": ("one process of a model (SIGKILL)", _kill_stub),
    "triton": ("tritonserver (SIGKILL)", _kill_triton),
    "serve": ("`distillex serve` (SIGKILL), then started again", _kill_serve),
    "restart": ("`distillex serve` (SIGTERM), then started again", _restart_serve),
    "hang": ("tritonserver stands still (SIGSTOP)", _hang_triton),
    "both": ("tritonserver at both servers at once (SIGKILL)", _kill_both),
    "envoy": ("the gate's Envoy (SIGKILL)", _kill_envoy),
    "gate": ("`distillex gate` (SIGKILL), then started again", _kill_gate),
    "version": ("the file of the lexicon in use is overwritten; the backup is restored", _break_version),
    "current": ("the file CURRENT of a lexicon holds no number; the backup is restored", _break_current),
    "lexicon": ("a lexicon's folder is removed; the backup is restored", _lose_lexicon),
    "base": (
        "the base lexicon is overwritten and a server started again, in vain; the backup is restored, and it starts",
        _break_base,
    ),
    "disk": ("the disk of the lexicons is full, and a push is refused; room is made, and it is accepted", _fill_disk),
}
"""What dies, in words, and how; a function that mends it too returns when, in seconds."""


def run_case(name: str, where: Deployment, callers: Callers) -> str:
    """Break something, wait until all is well again, and return a line of the table."""
    what, break_it = CASES[name]
    before = callers.begin()
    wait_for(lambda: len(before.answered) > 20, "calls that are answered")
    record = callers.begin()
    mended = break_it(where)
    where.wait_until_whole()
    broken = len(record.failed)
    whole = time.monotonic() - record.began
    # Errors that come later still are told too.
    answered = len(record.answered)
    wait_for(lambda: len(record.answered) > answered + 50, "calls that are answered again")
    if later := len(record.failed) - broken:
        print(f"    {later} calls failed after it was whole", file=sys.stderr)
    for message, number in Counter(message for _, message in record.failed).most_common(4):
        print(f"    {number} x {message}", file=sys.stderr)
    last = max((moment for moment, _ in record.failed), default=record.began) - record.began
    moments = [record.began, *sorted(record.answered)]
    outage = max(later - earlier for earlier, later in pairwise(moments))
    calls = len(record.failed) + len(record.answered)
    by_hand = f" (mended at {mended:.1f} s)" if mended is not None else ""
    return f"| {what} | {len(record.failed)} of {calls:,} | {last:.1f} s | {outage:.1f} s | {whole:.1f} s{by_hand} |"


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds.

    Raises
    ------
    NotBackError
        Where it does not within :data:`LONGEST_S`.
    """
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        if time.monotonic() > deadline:
            raise NotBackError(f"waited {LONGEST_S:.0f} s in vain for {what}")
        time.sleep(0.02)


@contextlib.contextmanager
def lexicon_disk() -> Iterator[tuple[Path, bool]]:
    """Yield a directory with the base lexicon, and whether it is a small file system of its own."""
    with tempfile.TemporaryDirectory(prefix="recovery-") as folder:
        disk = Path(folder) / "lexicons"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(disk)]
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        try:
            shutil.copytree(shipped_lexicons() / "base", disk / "base")
            yield disk, mounted
        finally:
            if mounted:
                subprocess.run(["umount", str(disk)], check=True)


@contextlib.contextmanager
def deployment() -> Iterator[Deployment]:
    """Start servers and gate, push a lexicon twice, and back everything up."""
    with lexicon_disk() as (directory, small_disk), tempfile.TemporaryDirectory() as folder:
        token, saved = Path(folder) / "token", Path(folder) / "saved.tar"
        token.write_text(TOKEN, encoding="ascii")
        arguments = ("--lexicon-dir", str(directory), "--admin-token-file", str(token))
        with two_servers(*arguments) as servers:
            gate = GateProcess([server.url for server in servers])
            try:
                gate.wait_for_servers(2)
                where = Deployment(servers, gate, directory, saved, [set(s.processes()) for s in servers], small_disk)
                where.push()
                where.push()
                with saved.open("wb") as file:
                    write_backup(LexiconStore(directory), file)
                yield where
            finally:
                gate.end()


def _mend_after(seconds: float, mend: Callable[[], None]) -> float:
    began = time.monotonic()
    time.sleep(seconds)
    mend()
    return time.monotonic() - began


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases and print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--write", action="store_true", help="Write the table into docs/how-to/operations.md")
    options = parser.parse_args(arguments)
    lines = [machine_line(describe_machine()), f"Two servers, a gate, {options.callers} callers without retries."]
    lines += [
        "",
        "| what dies | calls that failed | errors for | no answer for | whole after |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    lost = 0
    with deployment() as where, Callers(where.gate.url, options.callers) as callers:
        for name in options.cases:
            if name == "disk" and not where.small_disk:
                print(f"left out: {name}, for want of a file system that may be filled", file=sys.stderr)
                continue
            where.wait_until_whole()
            time.sleep(SETTLE_S)
            try:
                lines.append(run_case(name, where, callers))
            except NotBackError as error:
                lost += 1
                lines.append(f"| {CASES[name][0]} | did not come back: {error} | | | |")
            print(lines[-1], flush=True)
    if options.write:
        write_section("recovery_times.py", lines)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
