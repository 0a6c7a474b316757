"""Servers and a gate before them, as processes of their own: what a deployment runs, on free ports of this machine."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence

import psutil
from distillex_serving.preconditions import free_port
from restarts import Served

START_TIMEOUT_S = 300.0
HOSTS = ("127.0.0.1", "127.0.0.2")
CLUSTERS = 2
"""A gate counts its servers twice: for small and for large calls."""


class GateProcess:
    """``distillex gate`` as a process, on ports that it has again when it is started again.

    Parameters
    ----------
    upstream
        ``host:port`` of each server.
    """

    def __init__(self, upstream: Sequence[str]) -> None:
        self.port, self.status_port = free_port(), free_port()
        ports = [f"--grpc-port={self.port}", f"--status-port={self.status_port}"]
        self._command = [sys.executable, "-m", "distillex.command.main", "gate", "--upstream", ",".join(upstream)]
        self._command += ports
        self.start()

    @property
    def url(self) -> str:
        """``host:port`` for callers."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; raises RuntimeError where it does not become ready."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        printed = []
        for line in self.process.stdout or ():
            printed.append(line)
            if "ready: gRPC" in line:
                return
        raise RuntimeError("distillex gate did not start:\n" + "".join(printed))

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode

    def envoy(self) -> int:
        """Return Envoy's process id."""
        children = psutil.Process(self.process.pid).children()
        found: int = next(each.pid for each in children if each.name() == "envoy")
        return found

    def statistic(self, name: str) -> int:
        """Return a number that the gate counts of its servers, of all of them together.

        Raises
        ------
        OSError
            Where the gate does not answer.
        """
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        pattern = rf"^envoy_cluster_{name}\{{.*\"triton\w*\"\}} (\d+)$"
        return sum(int(found) for found in re.findall(pattern, text, re.MULTILINE))

    def ready_servers(self) -> int:
        """Return how many servers it sends calls to; 0 where it does not answer."""
        with contextlib.suppress(OSError):
            return self.statistic("membership_healthy") // CLUSTERS
        return 0

    def wait_for_servers(self, number: int, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until it sends calls to so many servers; raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while self.ready_servers() != number:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the gate does not know {number} ready servers")
            time.sleep(0.05)


@contextlib.contextmanager
def two_servers(*arguments: str) -> Iterator[list[Served]]:
    """Run ``distillex serve`` twice, at one port of two addresses, with further arguments."""
    port = str(free_port())
    with contextlib.ExitStack() as stack:
        own = [["--no-gate", "--grpc-port", port, "--host", host, "--start-timeout", "300"] for host in HOSTS]
        yield [stack.enter_context(Served([*each, *arguments])) for each in own]
