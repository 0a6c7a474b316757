"""The state of a training run on its way to disk and back: weights, their average, metrics, checkpoints."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from distillex_matcher.layout import write_atomically
from torch import nn

from distillex_training import processes
from distillex_training.errors import RunDirectoryError
from distillex_training.task import Task

LOG = logging.getLogger("distillex.training")
CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"
BEST = "best"
LAST = "last_epoch"
"""Instead of metrics, of a run that nothing measures: the epoch whose weights were kept."""
PICKING = ("data.dev", "held_out")
"""Settings that decide which weights are picked."""
MEANING = ("data.", "distillation.labels", "distillation.teacher", "init", "minimum_count", "raw")
"""Settings that decide what the rows of the weights stand for."""
FINISHED = "finished.json"
"""Metrics of the best evaluation of a run that is over."""


class WeightAverage:
    """Exponential moving average of the floating-point state (Polyak and Juditsky 1992), with a warm start."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def update(self, model: nn.Module) -> None:
        """Take one more step into the average."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.state[name].lerp_(tensor.detach(), 1 - decay)
            else:
                self.state[name].copy_(tensor)


@dataclass
class Progress:
    """How far a run has come."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    without_gain: int = 0
    best: dict[str, float] = field(default_factory=dict)
    rows: int = 0
    """Lines of the metrics file that belong to this state."""
    point_sum: float = 0.0
    """Of the losses since the last point that trackers got."""
    point_count: int = 0
    """How many these are."""

    def add(self, loss: float) -> None:
        """Take in the loss of a batch."""
        self.loss_sum += loss
        self.loss_count += 1
        self.point_sum += loss
        self.point_count += 1

    @property
    def loss(self) -> float:
        """Mean since the last evaluation."""
        return self.loss_sum / max(1, self.loss_count)


def read_outcome(directory: Path) -> dict[str, float] | None:
    """Return the metrics of the best evaluation where the run of a directory is over, else None.

    Raises
    ------
    RunDirectoryError
        For a file that cannot be read.
    """
    path = directory / FINISHED
    if not path.exists():
        return None
    try:
        outcome: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunDirectoryError(f"{path}: not JSON ({error}); delete {directory} to train anew") from None
    return outcome


def check_best(directory: Path) -> None:
    """Check that the best weights of a run that has some are there.

    Raises
    ------
    RunDirectoryError
        Where they are not.
    """
    if not (directory / BEST).exists():
        raise RunDirectoryError(
            f"{directory / BEST}: the run's best weights are missing; delete {directory} to train anew"
        )


class RunState:
    """The state of a run on its way to disk and back."""

    def __init__(
        self,
        task: Task,
        directory: Path,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        average: WeightAverage | None,
    ) -> None:
        self.task = task
        self.directory = directory
        self.optimizer = optimizer
        self.schedule = schedule
        self.average = average
        self.state = Progress()
        self._since = time.monotonic()

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Put the averaged weights, where there are any, in the model's place."""
        if self.average is None:
            yield
            return
        model = self.task.model
        own = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        model.load_state_dict(self.average.state)
        self.task.after_step()
        try:
            yield
        finally:
            model.load_state_dict(own)

    def evaluate(self, epoch: float) -> dict[str, float]:
        """Score, keep the best, write a line of metrics, begin a new mean of the loss (of the first process).

        Returns
        -------
        dict
            The scores.
        """
        state, metric = self.state, self.task.metric
        with self._averaged_weights():
            # One process decides for all: rounding could make them differ.
            metrics = processes.share(self.task.evaluate() if processes.is_first() else {})
            scored = metric in metrics  # else nothing says which weights are best: the last ones are kept
            if not scored or not state.best or metrics[metric] > state.best[metric]:
                state.best = dict(metrics) if scored else {LAST: epoch}
                state.without_gain = 0
                if processes.is_first():
                    self.task.save(self.directory / BEST)
            else:
                state.without_gain += 1
        seconds = time.monotonic() - self._since
        self._since = time.monotonic()
        loss = state.loss
        state.loss_sum, state.loss_count = 0.0, 0
        state.rows += 1
        if not processes.is_first():
            return metrics
        row = metrics | {"epoch": round(epoch, 4), "step": state.step, "loss": loss, "seconds": seconds}
        with (self.directory / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if not scored:
            told = "epoch %.4g, step %d  loss %.4f  no development file: these weights are kept  %.0f s"
            LOG.info(told, epoch, state.step, loss, seconds)
            return metrics
        LOG.info(
            "epoch %s, step %d  loss %.4f  dev %s %.4f  (best %.4f)  %.0f s",
            f"{epoch:.4g}",
            state.step,
            loss,
            metric,
            metrics[metric],
            state.best[metric],
            seconds,
        )
        return metrics

    def save_checkpoint(self) -> None:
        """Replace the checkpoint atomically, and publish."""
        others = processes.gather(torch.get_rng_state())
        if not processes.is_first():
            return
        path = self.directory / CHECKPOINT
        content = {
            "model": self.task.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": None if self.average is None else (self.average.steps, self.average.state),
            "meaning": self.task.meaning,
            "progress": vars(self.state),
            "random": torch.get_rng_state(),
            "random_of_all": others,
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        with self._averaged_weights():
            self.task.publish(self.directory)

    def finish(self) -> None:
        """Say in the run directory that the run is over."""
        if processes.is_first():
            write_atomically(self.directory / FINISHED, json.dumps(self.state.best) + "\n")

    def restore(self, changed: Sequence[str] = ()) -> Progress:
        """Go back to the checkpoint, if there is one; cut off metrics that were written after it.

        With ``changed`` settings the interrupted epoch begins anew, the optimiser has the rates of now, and with other
        development data the best so far is none.

        Raises
        ------
        RunDirectoryError
            For a checkpoint that cannot be read, whose best weights are missing, or that does not fit what has changed.
        """
        path = self.directory / CHECKPOINT
        if not path.exists():
            self._keep_metrics(0)
            return self.state
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0]
            raise RunDirectoryError(
                f"{path} cannot be read ({reason}); delete {self.directory} to train anew"
            ) from None
        if content["progress"]["best"]:
            check_best(self.directory)
        if changed:
            self._check_meaning(content.get("meaning"), changed)
        try:
            self.task.model.load_state_dict(content["model"])
            self._restore_optimizer(content, changed)
        except (RuntimeError, ValueError) as error:
            raise RunDirectoryError(self._not_fitting(" ".join(str(error).split()), changed)) from None
        if self.average is not None:
            steps, tensors = content["average"] or (0, self.task.model.state_dict())
            self.average.steps = steps
            for name, tensor in tensors.items():
                self.average.state[name].copy_(tensor)
        of_all = content["random_of_all"]
        rank = processes.rank()
        torch.set_rng_state(of_all[rank] if rank < len(of_all) else content["random"])
        if content.get("random_cuda") and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(content["random_cuda"])
        self.state = Progress(**content["progress"])
        if changed:
            self._begin_epoch_anew(changed)
        self._keep_metrics(self.state.rows)
        LOG.info("resuming at epoch %d, batch %d", self.state.epoch + 1, self.state.batch)
        return self.state

    def _restore_optimizer(self, content: dict[str, Any], changed: Sequence[str]) -> None:
        configured = [
            {name: value for name, value in group.items() if name != "params"} for group in self.optimizer.param_groups
        ]
        self.optimizer.load_state_dict(content["optimizer"])
        self.schedule.load_state_dict(content["schedule"])
        if changed:  # the checkpoint holds the rates of then
            for group, own in zip(self.optimizer.param_groups, configured, strict=True):
                group.update(own)
            self.schedule.base_lrs = [group["initial_lr"] for group in self.optimizer.param_groups]
            self.schedule.last_epoch -= 1
            self.schedule.step()

    def _check_meaning(self, earlier: str | None, changed: Sequence[str]) -> None:
        data = [key for key in changed if key.startswith(MEANING) and not key.startswith(PICKING)]
        if earlier == self.task.meaning or (earlier is None and not data):
            return
        reason = "its vocabulary, entity types or lexicon types are others"
        if earlier is None:
            reason = "it does not say which vocabulary it was started with, and what was changed may make another one"
        raise RunDirectoryError(self._not_fitting(reason, changed))

    def _not_fitting(self, reason: str, changed: Sequence[str]) -> str:
        return (
            f"{self.directory / CHECKPOINT} does not fit {', '.join(changed) or 'the settings'}: {reason}. A run "
            "cannot go on with this change; begin another one in another directory, perhaps with initial: "
            f"{self.directory / BEST}"
        )

    def _begin_epoch_anew(self, changed: Sequence[str]) -> None:
        state = self.state
        if state.batch:
            LOG.warning("epoch %d begins anew, since settings have changed", state.epoch + 1)
        state.batch, state.loss_sum, state.loss_count, state.without_gain = 0, 0.0, 0, 0
        state.point_sum, state.point_count = 0.0, 0
        if any(key.startswith(PICKING) for key in changed):
            LOG.warning("the best so far was picked on other development data: the next evaluation is the best")
            state.best = {}

    def _keep_metrics(self, rows: int) -> None:
        path = self.directory / METRICS
        if path.exists() and processes.is_first():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            path.write_text("".join(lines[:rows]), encoding="utf-8")
