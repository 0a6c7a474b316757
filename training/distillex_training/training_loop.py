"""The one training loop: optimiser groups, schedule, weight averaging, evaluation, checkpoints, resume."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from distillex_training import processes
from distillex_training.config.loop import LoopConfig
from distillex_training.errors import DivergenceError
from distillex_training.prefetch import made_ahead
from distillex_training.progress import TrainingProgress
from distillex_training.run_state import RunState, WeightAverage
from distillex_training.task import Task
from distillex_training.trackers import NO_TRACKERS, Trackers

LOG = logging.getLogger("distillex.training")


def fit(
    task: Task,
    config: LoopConfig,
    directory: Path,
    *,
    max_steps: int | None = None,
    changed: Sequence[str] = (),
    restored: Callable[[], None] = lambda: None,
    trackers: Trackers = NO_TRACKERS,
) -> dict[str, float]:
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
    changed
        Keys of settings that are others than those of the checkpoint: the epoch that was interrupted begins anew.
    restored
        Called when the checkpoint, if there is one, is read and fits.
    trackers
        Receives losses, rates and scores.

    Returns
    -------
    dict
        Metrics of the best epoch.

    Raises
    ------
    DivergenceError
        When a loss is not finite.
    RunDirectoryError
        For a checkpoint that cannot be read, or does not fit what has changed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    processes.wait()
    torch.manual_seed(config.seed)
    device = processes.device()
    task.model.to(device)
    optimizer = torch.optim.AdamW(
        task.parameter_groups(), weight_decay=config.weight_decay, fused=True if config.fused else None
    )
    together = config.accumulate * processes.count()  # batches of one optimiser step
    steps_per_epoch = -(-len(task.batches(0)) // together)
    total = config.steps or steps_per_epoch * config.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _linear(step, total, config.warm_up))
    average = WeightAverage(task.model, config.averaging) if config.averaging > 0 else None
    run = RunState(task, directory, optimizer, schedule, average)
    if processes.rank():
        torch.manual_seed(config.seed + processes.rank())  # dropout differs from process to process
    state = run.restore(changed)
    if changed:
        run.save_checkpoint()  # before the record says that the settings are those of now
    restored()
    trackers.begin(state.step, task.metric)
    progress = TrainingProgress(config, together, silent=not processes.is_first())

    def finished() -> bool:
        stopped = config.patience > 0 and state.without_gain >= config.patience
        if stopped:
            LOG.info("no better %s for %d evaluations: stopping", task.metric, state.without_gain)
        return stopped or (state.step >= total if config.steps else state.epoch >= config.epochs)

    def log_point(epoch: float) -> None:
        progress.figures = task.figures()
        loss = state.point_sum / max(1, state.point_count)
        state.point_sum, state.point_count = 0.0, 0
        figures = {"loss": loss, "epoch": epoch, "sentences_per_second": progress.sentences_per_second}
        rates = {group["initial_lr"]: group["lr"] for group in optimizer.param_groups}
        trackers.log_training(figures | progress.figures, rates, state.step)

    last_checkpoint = time.monotonic()
    done = 0
    for epoch in itertools.count(state.epoch):
        over = finished()
        if over or (max_steps is not None and done >= max_steps):
            break
        batches = task.batches(epoch)
        steps = [batches[begin : begin + together] for begin in range(state.batch, len(batches), together)]
        own = [step[processes.rank() :: processes.count()] for step in steps]
        prepare = functools.partial(task.prepare, epoch=epoch)
        task.model.train()
        with (
            progress.of_epoch(epoch, [task.size(batch, epoch) for batch in batches], state.batch),
            contextlib.closing(made_ahead(prepare, itertools.chain(*own), config.prefetch)) as ready,
        ):
            for step, mine in zip(steps, own, strict=True):
                state.batch += len(step)
                for prepared in itertools.islice(ready, len(mine)):
                    with torch.autocast(device.type, torch.bfloat16, config.bf16):
                        loss = task.loss(prepared)
                    value = float(loss.detach())
                    if not math.isfinite(value):
                        raise DivergenceError(
                            f"the loss is {value} in epoch {epoch + 1} after {state.step} steps: begin again in "
                            "another directory with lower learning rates"
                        )
                    torch.autograd.backward(loss / config.accumulate)
                    state.add(value)
                processes.average_gradients(task.model)
                nn.utils.clip_grad_norm_(task.model.parameters(), config.gradient_clip)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad(set_to_none=True)
                task.after_step()
                if average is not None:
                    average.update(task.model)
                done += 1
                state.step += 1
                progress.step(state.batch, state.step, state.loss)
                if state.step % config.log_steps == 0:
                    log_point(epoch + state.batch / len(batches))
                if state.batch == len(batches):
                    break
                at_end = config.steps > 0 and state.step >= total
                evaluating = at_end or (config.evaluate_steps > 0 and state.step % config.evaluate_steps == 0)
                stopping = at_end or (max_steps is not None and done >= max_steps)
                begun = time.monotonic()
                if evaluating:
                    trackers.log_scores(run.evaluate(epoch + state.batch / len(batches)), state.step)
                    stopping = stopping or finished()
                    task.model.train()
                due = processes.share(begun - last_checkpoint > config.checkpoint_minutes * 60)
                if evaluating or stopping or due:
                    run.save_checkpoint()
                    last_checkpoint = time.monotonic()
                if evaluating:
                    progress.evaluated(last_checkpoint - begun)
                if stopping:
                    if finished():
                        run.finish()
                    return state.best
        begun = time.monotonic()
        trackers.log_scores(run.evaluate(epoch + 1), state.step)
        state.epoch, state.batch = epoch + 1, 0
        run.save_checkpoint()
        last_checkpoint = time.monotonic()
        progress.evaluated(last_checkpoint - begun)
    if over:
        run.finish()
    return state.best


def _linear(step: int, total: int, warm_up: float) -> float:
    rise = max(1, int(total * warm_up))
    if step < rise:
        return (step + 1) / rise
    return max(0.0, (total - step) / max(1, total - rise))
