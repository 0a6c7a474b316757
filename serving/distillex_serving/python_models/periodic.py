"""Periodic work of a Python model, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from distillex_serving.python_models.answers import log_error

STOP_TIMEOUT_S = 3.0
TIDY_PERIOD_S = 2.0
"""Between two looks for lexicons that are open and were removed."""
NOT_LET_GO = "removed lexicons stay in memory"


class Periodic:
    """A thread that does something at once, then every period, and once more at the end.

    Parameters
    ----------
    do
        Called in that thread. Where it fails, the log says so once, and texts are answered all the same.
    period_s
        Seconds.
    what
        Begins that line of the log, such as ``the metrics are not told``.
    """

    def __init__(self, do: Callable[[], None], period_s: float, what: str) -> None:
        self._do, self._period_s, self._what = do, period_s, what
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="distillex-periodic", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Do what is left, and end."""
        self._end.set()
        # A Triton that ends may answer no more.
        self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        complaint, last = "", False
        while True:
            try:
                self._do()
                complaint = ""
            except Exception as error:  # a Triton without metrics, a directory that cannot be read
                if str(error) != complaint:
                    complaint = str(error)
                    log_error(f"{self._what}: {complaint}")
            if last:
                return
            last = self._end.wait(self._period_s)
