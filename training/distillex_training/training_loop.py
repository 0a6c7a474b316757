"""The one training loop: optimiser groups, schedule, weight averaging, evaluation, checkpoints, resume."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

LOG = logging.getLogger("distillex.training")
CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class LoopConfig:
    """How to optimise."""

    epochs: int = 20
    steps: int = 0
    """Optimiser steps of the run; 0 lets ``epochs`` decide, else the run ends here, wherever the epoch is."""
    evaluate_steps: int = 0
    """Evaluate every so many steps besides the end of each epoch; 0: at the end of each epoch only."""
    batch_size: int = 32
    max_characters: int = 4096
    """Padded characters of a batch."""
    warm_up: float = 0.1
    """Share of all steps over which the learning rates rise."""
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    accumulate: int = 1
    averaging: float = 0.999
    """Decay of the exponential moving average of the weights that is evaluated and saved; 0 turns it off."""
    bf16: bool = False
    fused: bool = False
    """AdamW in one pass over the weights: faster, and equal up to rounding."""
    patience: int = 0
    """Stop after so many evaluations without a better one; 0 never stops early."""
    checkpoint_minutes: float = 5.0
    seed: int = 1


class Task(Protocol):
    """What is trained: the loop knows nothing else of it."""

    metric: str
    """The entry of :meth:`evaluate` that decides which weights are kept; more is better."""

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

    def loss(self, batch: Any, epoch: int) -> Tensor:
        """Return the loss of one batch."""
        ...

    def after_step(self) -> None:
        """Run after each optimiser step (the CRF puts its constraints back)."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Score the present weights."""
        ...

    def save(self, directory: Path) -> None:
        """Write the present weights as a model directory."""
        ...

    def publish(self, directory: Path) -> None:
        """Write into the run directory what others may use before the run ends; called with each checkpoint."""
        ...


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


def fit(task: Task, config: LoopConfig, directory: Path, *, max_steps: int | None = None) -> dict[str, float]:
    """Train, resuming from ``directory`` if a checkpoint lies there; the best epoch is saved in ``directory/best``.

    Parameters
    ----------
    task
        What to train.
    config
        How.
    directory
        Run directory: ``checkpoint.pt``, ``metrics.jsonl``, ``best/``.
    max_steps
        Stop (with a checkpoint) after so many steps of this call; for tests and time limits.

    Returns
    -------
    dict
        Metrics of the best epoch.
    """
    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    device = training_device()
    task.model.to(device)
    optimizer = torch.optim.AdamW(
        task.parameter_groups(), weight_decay=config.weight_decay, fused=True if config.fused else None
    )
    steps_per_epoch = -(-len(task.batches(0)) // config.accumulate)
    total = config.steps or steps_per_epoch * config.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _linear(step, total, config.warm_up))
    average = WeightAverage(task.model, config.averaging) if config.averaging > 0 else None
    run = _Run(task, config, directory, optimizer, schedule, average)
    state = run.restore()

    def finished() -> bool:
        stopped = config.patience > 0 and state.without_gain >= config.patience
        if stopped:
            LOG.info("no better %s for %d evaluations: stopping", task.metric, state.without_gain)
        return stopped or (state.step >= total if config.steps else state.epoch >= config.epochs)

    last_checkpoint = time.monotonic()
    done = 0
    for epoch in itertools.count(state.epoch):
        if finished() or (max_steps is not None and done >= max_steps):
            break
        batches = task.batches(epoch)
        task.model.train()
        label = f"epoch {epoch + 1}" + ("" if config.steps else f"/{config.epochs}")
        for position in _progress(range(state.batch, len(batches)), label, len(batches)):
            with torch.autocast(device.type, torch.bfloat16, config.bf16):
                loss = task.loss(batches[position], epoch)
            torch.autograd.backward(loss / config.accumulate)
            state.loss_sum += float(loss.detach())
            state.loss_count += 1
            state.batch = position + 1
            if (position + 1) % config.accumulate and position + 1 < len(batches):
                continue
            nn.utils.clip_grad_norm_(task.model.parameters(), config.gradient_clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            task.after_step()
            if average is not None:
                average.update(task.model)
            done += 1
            state.step += 1
            if state.batch == len(batches):
                break
            at_end = config.steps > 0 and state.step >= total
            evaluating = at_end or (config.evaluate_steps > 0 and state.step % config.evaluate_steps == 0)
            stopping = at_end or (max_steps is not None and done >= max_steps)
            if evaluating:
                run.evaluate(epoch + state.batch / len(batches))
                stopping = stopping or finished()
                task.model.train()
            if evaluating or stopping or time.monotonic() - last_checkpoint > config.checkpoint_minutes * 60:
                run.save_checkpoint()
                last_checkpoint = time.monotonic()
            if stopping:
                return state.best
        run.evaluate(epoch + 1)
        state.epoch, state.batch = epoch + 1, 0
        run.save_checkpoint()
        last_checkpoint = time.monotonic()
    return state.best


def training_device() -> torch.device:
    """Return the device that models train on: a GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass
class _Progress:
    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    without_gain: int = 0
    best: dict[str, float] = field(default_factory=dict)
    rows: int = 0
    """Lines of the metrics file that belong to this state."""


def _linear(step: int, total: int, warm_up: float) -> float:
    rise = max(1, int(total * warm_up))
    if step < rise:
        return (step + 1) / rise
    return max(0.0, (total - step) / max(1, total - rise))


class _Run:
    """The state of a run on its way to disk and back."""

    def __init__(
        self,
        task: Task,
        config: LoopConfig,
        directory: Path,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        average: WeightAverage | None,
    ) -> None:
        self.task = task
        self.config = config
        self.directory = directory
        self.optimizer = optimizer
        self.schedule = schedule
        self.average = average
        self.state = _Progress()
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

    def evaluate(self, epoch: float) -> None:
        """Score, keep the best, write a line of metrics, begin a new mean of the loss."""
        state, metric = self.state, self.task.metric
        with self._averaged_weights():
            metrics = self.task.evaluate()
            if not state.best or metrics[metric] > state.best[metric]:
                state.best = dict(metrics)
                state.without_gain = 0
                self.task.save(self.directory / "best")
            else:
                state.without_gain += 1
        seconds = time.monotonic() - self._since
        self._since = time.monotonic()
        loss = state.loss_sum / max(1, state.loss_count)
        state.loss_sum, state.loss_count = 0.0, 0
        row = metrics | {"epoch": round(epoch, 4), "step": state.step, "loss": loss, "seconds": seconds}
        with (self.directory / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        state.rows += 1
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

    def save_checkpoint(self) -> None:
        """Replace the checkpoint atomically, and publish."""
        path = self.directory / CHECKPOINT
        content = {
            "model": self.task.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": None if self.average is None else (self.average.steps, self.average.state),
            "progress": vars(self.state),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        temporary = path.with_suffix(".new")
        torch.save(content, temporary)
        temporary.replace(path)
        with self._averaged_weights():
            self.task.publish(self.directory)

    def restore(self) -> _Progress:
        """Go back to the checkpoint, if there is one; cut off metrics that were written after it."""
        path = self.directory / CHECKPOINT
        if not path.exists():
            self._keep_metrics(0)
            return self.state
        content = torch.load(path, map_location="cpu", weights_only=True)
        self.task.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.schedule.load_state_dict(content["schedule"])
        if self.average is not None and content["average"] is not None:
            steps, tensors = content["average"]
            self.average.steps = steps
            for name, tensor in tensors.items():
                self.average.state[name].copy_(tensor)
        torch.set_rng_state(content["random"])
        if content.get("random_cuda") and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(content["random_cuda"])
        progress = {"step": content["schedule"]["last_epoch"], **content["progress"]}
        if "rows" in progress:
            self._keep_metrics(progress["rows"])
        elif (metrics := self.directory / METRICS).exists():  # a checkpoint of an earlier version
            progress["rows"] = len(metrics.read_text(encoding="utf-8").splitlines())
        self.state = _Progress(**progress)
        LOG.info("resuming at epoch %d, batch %d", self.state.epoch + 1, self.state.batch)
        return self.state

    def _keep_metrics(self, rows: int) -> None:
        path = self.directory / METRICS
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            path.write_text("".join(lines[:rows]), encoding="utf-8")


def _progress(positions: range, label: str, total: int) -> Iterator[int]:
    console = Console(stderr=True)
    if not console.is_terminal:
        every = max(1, total // 5)
        for position in positions:
            if position and position % every == 0:
                LOG.info("%s: batch %d of %d", label, position, total)
            yield position
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(label, total=total, completed=positions.start)
        for position in positions:
            yield position
            progress.advance(bar)
