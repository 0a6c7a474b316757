"""The one training loop: optimiser groups, schedule, weight averaging, evaluation, checkpoints, resume."""

from __future__ import annotations

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
    patience: int = 0
    """Stop after so many epochs without a better development F1; 0 never stops early."""
    checkpoint_minutes: float = 5.0
    seed: int = 1


class Task(Protocol):
    """What is trained: the loop knows nothing else of it."""

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
        """Score the present weights; the entry ``f1`` decides which epoch is kept."""
        ...

    def save(self, directory: Path) -> None:
        """Write the present weights as a model directory."""
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
    optimizer = torch.optim.AdamW(task.parameter_groups(), weight_decay=config.weight_decay)
    steps_per_epoch = -(-len(task.batches(0)) // config.accumulate)
    total = steps_per_epoch * config.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _linear(step, total, config.warm_up))
    average = WeightAverage(task.model, config.averaging) if config.averaging > 0 else None
    state = _Progress()
    if (directory / CHECKPOINT).exists():
        state = _restore(directory / CHECKPOINT, task.model, optimizer, schedule, average)
        LOG.info("resuming at epoch %d, batch %d", state.epoch + 1, state.batch)

    last_checkpoint = time.monotonic()
    done = 0
    for epoch in range(state.epoch, config.epochs):
        batches = task.batches(epoch)
        task.model.train()
        started = time.monotonic()
        for position in _progress(range(state.batch, len(batches)), f"epoch {epoch + 1}/{config.epochs}", len(batches)):
            with torch.autocast("cpu" if not torch.cuda.is_available() else "cuda", torch.bfloat16, config.bf16):
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
            if max_steps is not None and done >= max_steps and state.batch < len(batches):
                _save_checkpoint(directory / CHECKPOINT, task.model, optimizer, schedule, average, state)
                return state.best
            if time.monotonic() - last_checkpoint > config.checkpoint_minutes * 60:
                _save_checkpoint(directory / CHECKPOINT, task.model, optimizer, schedule, average, state)
                last_checkpoint = time.monotonic()
        metrics = _evaluate(task, average, directory, state)
        metrics |= {
            "epoch": epoch + 1,
            "loss": state.loss_sum / max(1, state.loss_count),
            "seconds": time.monotonic() - started,
        }
        with (directory / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")
        LOG.info(
            "epoch %d/%d  loss %.4f  dev F1 %.4f  (best %.4f)  %.0f s",
            epoch + 1,
            config.epochs,
            metrics["loss"],
            metrics["f1"],
            state.best["f1"],
            metrics["seconds"],
        )
        state.epoch, state.batch, state.loss_sum, state.loss_count = epoch + 1, 0, 0.0, 0
        _save_checkpoint(directory / CHECKPOINT, task.model, optimizer, schedule, average, state)
        last_checkpoint = time.monotonic()
        if config.patience and state.without_gain >= config.patience:
            LOG.info("no better development F1 for %d epochs: stopping", state.without_gain)
            break
        if max_steps is not None and done >= max_steps:
            break
    return state.best


@dataclass
class _Progress:
    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    without_gain: int = 0
    best: dict[str, float] = field(default_factory=dict)


def _linear(step: int, total: int, warm_up: float) -> float:
    rise = max(1, int(total * warm_up))
    if step < rise:
        return (step + 1) / rise
    return max(0.0, (total - step) / max(1, total - rise))


def _evaluate(task: Task, average: WeightAverage | None, directory: Path, state: _Progress) -> dict[str, float]:
    own = {name: tensor.detach().clone() for name, tensor in task.model.state_dict().items()}
    if average is not None:
        task.model.load_state_dict(average.state)
        task.after_step()
    metrics = task.evaluate()
    if not state.best or metrics["f1"] > state.best["f1"]:
        state.best = dict(metrics)
        state.without_gain = 0
        task.save(directory / "best")
    else:
        state.without_gain += 1
    task.model.load_state_dict(own)
    return metrics


def _save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    average: WeightAverage | None,
    state: _Progress,
) -> None:
    content = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "average": None if average is None else (average.steps, average.state),
        "progress": vars(state),
        "random": torch.get_rng_state(),
    }
    temporary = path.with_suffix(".new")
    torch.save(content, temporary)
    temporary.replace(path)


def _restore(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    average: WeightAverage | None,
) -> _Progress:
    content = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    schedule.load_state_dict(content["schedule"])
    if average is not None and content["average"] is not None:
        average.steps, average.state = content["average"]
    torch.set_rng_state(content["random"])
    return _Progress(**content["progress"])


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
