"""Worker processes: started on demand, replaced when they die, ended with the run."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from types import TracebackType

from distillex_client.entity import Entity, Extraction
from distillex_client.errors import BatchStopped, WrongUse

from distillex.batch.worker import FOUND, READY, REFUSED, TaggerOptions
from distillex.errors import WorkerDiedError, WorkersCannotStartError

LOG = logging.getLogger("distillex.batch")
ATTEMPTS = 3
"""Workers that may die of the same texts, or while they start, one after the other."""
PROGRAM = "import sys; sys.path[:] = {path!r}; from distillex.batch.worker import serve; serve({descriptor})"


class Workers:
    """Extract with processes that each have opened the model; used by as many threads as calls are wanted at once.

    A process ends when its socket is closed, which happens by itself where this process is killed.

    Parameters
    ----------
    options
        What each opens.
    count
        Most processes.
    """

    def __init__(self, options: TaggerOptions, count: int) -> None:
        self._options = options
        self._idle: list[_Worker] = []
        self._running: set[_Worker] = set()
        self._lock = threading.Lock()
        self._places = threading.Semaphore(count)
        self._stopped = threading.Event()
        self._deaths_at_start = 0

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for worker in list(self._running):
            self._drop(worker)

    def stop(self) -> None:
        """Kill all processes: what they are doing, nobody waits for. What calls, ends."""
        with self._lock:
            self._stopped.set()
            for worker in self._running:
                worker.kill()

    def call(self, texts: Sequence[str]) -> list[Extraction]:
        """Return one extraction a text; a text of which each worker dies has an ``error``.

        What a worker had begun when it died is done again by another, with the same texts, so that the answer is the
        same.

        Raises
        ------
        WrongUse
            When the model or a lexicon cannot be used.
        BatchStopped
            When no worker can be started.
        """
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                LOG.warning("%s; another one does its work again", reason)
            try:
                return self._call(texts)
            except WorkerDiedError as death:
                reason = str(death)
        if len(texts) == 1:
            return [Extraction((), "", f"{ATTEMPTS} workers failed on it; the last: {reason}")]
        LOG.warning("%s; its %d texts are extracted one by one", reason, len(texts))
        return [extraction for text in texts for extraction in self.call([text])]

    def _call(self, texts: Sequence[str]) -> list[Extraction]:
        with self._places:
            worker = self._take()
            try:
                found = worker.call(texts)
            except BaseException:
                self._drop(worker)
                if self._stopped.is_set():
                    raise BatchStopped("the run was stopped") from None
                raise
            with self._lock:
                self._idle.append(worker)
            return found

    def _take(self) -> _Worker:
        while True:
            with self._lock:
                if self._stopped.is_set():
                    raise BatchStopped("the run was stopped")
                # The one that was busy last; the others may not be needed.
                idle = self._idle.pop() if self._idle else None
            if idle is not None:
                if idle.is_alive():
                    return idle
                # It died of no text: that one is not to be blamed.
                LOG.warning("a worker %s while it waited; another one takes its place", idle.how_it_ended())
                self._drop(idle)
                continue
            try:
                worker = _Worker(self._options)
            except OSError as error:
                raise BatchStopped(f"workers cannot be started: {error.strerror or error}") from error
            with self._lock:
                self._running.add(worker)
                if self._stopped.is_set():
                    worker.kill()
            try:
                worker.wait_until_ready()
            except WorkersCannotStartError as error:
                self._drop(worker)
                with self._lock:
                    self._deaths_at_start += 1
                    if self._stopped.is_set() or self._deaths_at_start >= ATTEMPTS:
                        raise BatchStopped(f"workers cannot be started: {error}") from error
                continue
            except BaseException:
                self._drop(worker)
                raise
            with self._lock:
                self._deaths_at_start = 0
            return worker

    def _drop(self, worker: _Worker) -> None:
        with self._lock:
            self._running.discard(worker)
        worker.close()


class _Worker:
    """One process and the socket to it."""

    def __init__(self, options: TaggerOptions) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._line = Connection(ours.detach())
            path = [os.path.realpath(place) for place in sys.path]
            program = PROGRAM.format(path=path, descriptor=theirs.fileno())
            # In a session of its own: an interrupt at the terminal is for the run, also while Python starts here.
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # A worker is for one core; PyTorch would take all of them in each.
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
                cwd="/",
            )
        self._options = options

    def wait_until_ready(self) -> None:
        """Wait until the model is open.

        Raises
        ------
        WrongUse
            When it cannot be used.
        WorkersCannotStartError
            When the process died of it.
        """
        try:
            self._line.send(self._options)
            word, content = self._line.recv()
        except (EOFError, OSError):
            raise WorkersCannotStartError(f"one {self.how_it_ended()}") from None
        if word != READY:
            raise WrongUse(content)

    def call(self, texts: Sequence[str]) -> list[Extraction]:
        """Return one extraction a text.

        Raises
        ------
        WrongUse
            When a lexicon cannot be used.
        WorkerDiedError
            When the process died, or failed on the texts.
        """
        try:
            self._line.send(texts)
            word, content = self._line.recv()
        except (EOFError, OSError):
            raise WorkerDiedError(f"a worker {self.how_it_ended()}") from None
        if word == REFUSED:
            raise WrongUse(content)
        if word != FOUND:
            raise WorkerDiedError(f"a worker failed: {content}")
        return [
            Extraction(tuple([Entity(*fields) for fields in entities]), version, error)
            for version, error, entities in content
        ]

    def is_alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the process; a call that waits for it ends."""
        self._process.kill()

    def close(self) -> None:
        """Kill the process and wait for its end, when no call waits for it any more."""
        self.kill()
        self._process.wait()
        self._line.close()

    def how_it_ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(5)
            if code < 0:
                return f"was killed ({signal.Signals(-code).name})"
            return f"ended with exit code {code}"
        return "closed its socket"
