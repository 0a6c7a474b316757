"""The last lines that a service's process printed, read while it runs and kept when it has ended."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections import deque
from collections.abc import Callable

LINES_KEPT = 400


class ProcessLog:
    """Reads what a process prints; of one process after the other.

    Parameters
    ----------
    show
        Called with each line, its end included; by default none is shown.
    shows_start
        Whether also with those before :meth:`started`: whoever starts a process says why it did not start.
    keeps
        Which lines to keep; by default all.
    """

    def __init__(
        self,
        *,
        show: Callable[[str], None] | None = None,
        shows_start: bool = True,
        keeps: Callable[[str], bool] | None = None,
    ) -> None:
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._show = show
        self._shows_start = self._shows = shows_start
        self._keeps = keeps
        self._reader: threading.Thread | None = None

    def follow(self, process: subprocess.Popen[str]) -> None:
        """Forget the lines of an earlier process and read those of this one."""
        self.lines.clear()
        self._shows = self._shows_start
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()

    def started(self) -> None:
        """From now on lines are shown."""
        self._shows = True

    def wait(self, timeout_s: float = 0.5) -> None:
        """Let the reader come to the end of what a process printed that has ended."""
        reader = self._reader
        if reader is not None:
            reader.join(timeout_s)

    def finish(self, process: subprocess.Popen[str] | None) -> None:
        """Stop reading; the process has ended."""
        self.wait(2)
        self._reader = None
        if process is not None and process.stdout is not None:
            process.stdout.close()

    def last(self, count: int) -> list[str]:
        """Return the last lines."""
        return list(self.lines)[-count:]

    def _read(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        with contextlib.suppress(ValueError):
            for line in process.stdout:
                if self._keeps is None or self._keeps(line):
                    self.lines.append(line.rstrip())
                # Whoever reads our own output may be gone; a process whose output nobody reads stands still.
                with contextlib.suppress(OSError):
                    if self._show is not None and self._shows:
                        self._show(line)
