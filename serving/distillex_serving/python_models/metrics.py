"""How a Python model's own metrics come to Triton's metrics port.

Each word to Triton crosses to another process and back, so requests only add to numbers in this one, and a thread of
its own tells Triton every second.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import triton_python_backend_utils as pb_utils

from distillex_serving.python_models.answers import log_error

STOP_TIMEOUT_S = 3.0


class Series:
    """Metrics by name and labels, made when they are first told.

    Several processes may have the same: Triton adds up what they count.
    """

    def __init__(self) -> None:
        self._families: dict[str, Any] = {}
        self._series: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = {}

    def increment(self, name: str, description: str, count: float, **labels: str) -> None:
        """Add to a counter."""
        self._of(name, description, pb_utils.MetricFamily.COUNTER, labels).increment(count)

    def set(self, name: str, description: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._of(name, description, pb_utils.MetricFamily.GAUGE, labels).set(value)

    def _of(self, name: str, description: str, kind: Any, labels: dict[str, str]) -> Any:
        if name not in self._families:
            self._families[name] = _kept(pb_utils.MetricFamily(name=name, description=description, kind=kind))
        key = (name, tuple(labels.items()))
        if key not in self._series:
            self._series[key] = _kept(self._families[name].Metric(labels=labels))
        return self._series[key]


class Reporter:
    """A thread that tells Triton something every so often, and once more at the end.

    Parameters
    ----------
    tell
        Called in that thread, at once and then every period. Where it fails, the log says so once, and texts are
        answered without metrics.
    period_s
        Seconds.
    """

    def __init__(self, tell: Callable[[], None], period_s: float) -> None:
        self._tell, self._period_s = tell, period_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="distillex-metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tell what is left, and end."""
        self._end.set()
        # A Triton that ends may answer no more.
        self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        complaint, last = "", False
        while True:
            try:
                self._tell()
                complaint = ""
            except Exception as error:  # a Triton without metrics, a directory that cannot be read
                if str(error) != complaint:
                    complaint = str(error)
                    log_error(f"the models' own metrics are not told: {complaint}")
            if last:
                return
            last = self._end.wait(self._period_s)


def _kept(metric: Any) -> Any:
    # When a process gives a series back, Triton frees it for every process that has it: another instance, or the model
    # that was loaded in place of this one, would count into freed memory. So none is given back, at the end neither.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(metric))
    return metric
