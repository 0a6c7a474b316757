"""The interface between the training loop and the model that it trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn


class BatchSize(NamedTuple):
    """What a batch holds."""

    sentences: int
    characters: int
    """With the padding: the time of a step is about proportional to them."""


class Task(Protocol):
    """What is trained."""

    metric: str
    """The entry of :meth:`evaluate` that decides which weights are kept; more is better."""

    @property
    def meaning(self) -> str:
        """What the rows of the weights stand for: tasks in which it is equal may go on with each other's weights."""
        ...

    @property
    def model(self) -> nn.Module:
        """All trained parameters, the CRF's included."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return optimiser groups with their learning rates."""
        ...

    def batches(self, epoch: int) -> Sequence[Any]:
        """Return the epoch's batches, deterministic in the epoch."""
        ...

    def size(self, batch: Any, epoch: int) -> BatchSize:
        """Tell how much a batch of an epoch holds."""
        ...

    def prepare(self, batch: Any, epoch: int) -> Any:
        """Return what :meth:`loss` reads of a batch, on the CPU.

        It may be called in another thread while :meth:`loss` runs, and draws nothing from torch's generator, so that
        a run is the same whether it is called ahead or not.
        """
        ...

    def loss(self, prepared: Any) -> Tensor:
        """Return the loss of one batch."""
        ...

    def figures(self) -> dict[str, float]:
        """Return further figures of the batches since the last call, for the log; empty where there are none."""
        ...

    def after_step(self) -> None:
        """Run after each optimiser step (the CRF puts its constraints back)."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Score the present weights."""
        ...

    def test(self, directory: Path) -> dict[str, float]:
        """Score the model directory that was picked on what it was not picked on; empty where there is nothing."""
        ...

    def save(self, directory: Path) -> None:
        """Write the present weights as a model directory."""
        ...

    def publish(self, directory: Path) -> None:
        """Write into the run directory what others may use before the run ends; called with each checkpoint."""
        ...
