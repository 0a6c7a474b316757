"""CPU and memory of the server, its Python-backend stubs and the client, sampled while load runs."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil
from distillex_serving.embedded import EmbeddedServer

SHARED_MEMORY = Path("/dev/shm")
"""Where Triton and its stubs exchange tensors: a region a stub, named in the stub's arguments."""
REGION = "distillex-"


@dataclass(frozen=True)
class Sample:
    """One process at one moment."""

    moment: float
    """Seconds since the epoch."""
    name: str
    cpu_s: float
    """CPU time that the process has used since it started."""
    memory_bytes: int
    """Resident memory that is the process's own (shared pages are left out)."""


class Sampler:
    """Samples a server's processes, and others that are added, in a thread.

    Parameters
    ----------
    server
        Running; its stubs are sampled under the names of their model instances, such as ``extractor_0_0``.
    interval_s
        Time between samples.
    """

    def __init__(self, server: EmbeddedServer, interval_s: float = 0.25) -> None:
        self.samples: list[Sample] = []
        self._interval_s = interval_s
        self._processes = {name: psutil.Process(pid) for pid, name in server.processes.items()}
        arguments = [argument for process in self._processes.values() for argument in process.cmdline()]
        self._regions = [SHARED_MEMORY / argument for argument in arguments if argument.startswith(REGION)]
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def watch(self, name: str, pid: int) -> None:
        """Sample one more process from now on."""
        with self._lock, contextlib.suppress(psutil.NoSuchProcess):
            self._processes[name] = psutil.Process(pid)

    def forget(self, name: str) -> None:
        """Sample a process no more."""
        with self._lock:
            self._processes.pop(name, None)

    def cores_between(self, begin: float, end: float) -> dict[str, float]:
        """Return the cores in use between two moments, by process; nothing for one with fewer than two samples."""
        cores = {}
        for name in sorted({sample.name for sample in self.samples}):
            mine = [sample for sample in self.samples if sample.name == name and begin <= sample.moment <= end]
            if len(mine) > 1:
                cores[name] = (mine[-1].cpu_s - mine[0].cpu_s) / (mine[-1].moment - mine[0].moment)
        return cores

    def memory_of(self, name: str) -> tuple[list[float], list[int]]:
        """Return a process's moments and bytes of memory."""
        mine = [sample for sample in self.samples if sample.name == name]
        return [sample.moment for sample in mine], [sample.memory_bytes for sample in mine]

    def names(self) -> list[str]:
        """Return the names of all processes that were sampled, in order of appearance."""
        return list(dict.fromkeys(sample.name for sample in self.samples))

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            with self._lock:
                processes = dict(self._processes)
            for name, process in processes.items():
                with contextlib.suppress(psutil.Error):
                    cpu, memory = process.cpu_times(), process.memory_info()
                    own = memory.rss - memory.shared
                    if memory.rss > 0:  # one that has ended and was not waited for yet has none
                        self.samples.append(Sample(time.time(), name, cpu.user + cpu.system, own))
            self.samples.append(Sample(time.time(), "shared memory", 0.0, sum(map(_used, self._regions))))


def _used(region: Path) -> int:
    try:
        return region.stat().st_blocks * 512
    except OSError:
        return 0
