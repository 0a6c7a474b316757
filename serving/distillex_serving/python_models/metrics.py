"""Report a Python model's metrics to Triton's metrics port.

Each word to Triton crosses to another process and back, so requests only add to numbers in this one, and a thread of
its own (:class:`Periodic`) tells Triton every second.
"""

from __future__ import annotations

import ctypes
from typing import Any

import triton_python_backend_utils as pb_utils

NOT_TOLD = "the models' own metrics are not told"


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


def _kept(metric: Any) -> Any:
    # When a process gives a series back, Triton frees it for every process that has it: another instance, or the model
    # that was loaded in place of this one, would count into freed memory. So none is given back, at the end neither.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(metric))
    return metric
