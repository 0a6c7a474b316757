"""Triton's own per-model statistics: where the time of a request goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tritonclient.grpc as triton
from distillex_serving.repository import DECODE, EXTRACTOR, PREPROCESS, STUDENT, TEACHER_NAMES, Layout

FIELDS = ("success", "queue", "compute_input", "compute_infer", "compute_output")


def models_of(layout: Layout, *, teacher: bool = False) -> tuple[str, ...]:
    """Return the models that do the work, in their order."""
    models = (EXTRACTOR,) if layout is Layout.FUSED else (PREPROCESS, STUDENT, DECODE)
    return tuple(TEACHER_NAMES[model] for model in models) if teacher else models


@dataclass(frozen=True)
class ModelTime:
    """Means of one model over a stretch of time."""

    model: str
    requests: int
    executions: int
    queue_ms: float
    """Waiting for an instance, and for company where the batcher waits."""
    input_ms: float
    """Handing the inputs over."""
    infer_ms: float
    """In the model; a request's share of a batch is the batch's whole time."""
    output_ms: float
    total_ms: float

    @property
    def batch(self) -> float:
        """Mean number of requests an execution."""
        return self.requests / self.executions if self.executions else 0.0


class TritonStatistics:
    """Difference of a server's counters between two moments."""

    def __init__(self, url: str, models: tuple[str, ...]) -> None:
        self._client = triton.InferenceServerClient(url)
        self._models = models
        self._before = self._read()

    def restart(self) -> None:
        """Count from now on."""
        self._before = self._read()

    def times(self) -> list[ModelTime]:
        """Return what happened since the last :meth:`restart`, model by model."""
        now = self._read()
        result = []
        for model in self._models:
            old, new = self._before[model], now[model]
            requests = new["success_count"] - old["success_count"]
            mean = {
                field: (new[f"{field}_ns"] - old[f"{field}_ns"]) / 1e6 / requests if requests else 0.0
                for field in FIELDS
            }
            result.append(
                ModelTime(
                    model,
                    requests,
                    new["executions"] - old["executions"],
                    mean["queue"],
                    mean["compute_input"],
                    mean["compute_infer"],
                    mean["compute_output"],
                    mean["success"],
                )
            )
        return result

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _read(self) -> dict[str, dict[str, int]]:
        counters: dict[str, dict[str, int]] = {}
        answer: Any = self._client.get_inference_statistics(as_json=False)
        for model in answer.model_stats:
            if model.name in self._models:
                values = {"executions": int(model.execution_count)}
                for field in FIELDS:
                    duration = getattr(model.inference_stats, field)
                    values[f"{field}_ns"], values[f"{field}_count"] = int(duration.ns), int(duration.count)
                counters[model.name] = values
        return counters
