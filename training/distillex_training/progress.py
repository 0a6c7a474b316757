"""Progress and remaining time: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from types import TracebackType
from typing import Any

from distillex_client.durations import duration
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from distillex_training.config.loop import LoopConfig
from distillex_training.console import CONSOLE, is_on_a_terminal
from distillex_training.task import BatchSize

LOG = logging.getLogger("distillex.training")
LINE_EVERY_S = 30.0
MEMORY = 0.99
"""What a step weighs in the pace, of what the one after it does: some hundred steps count."""
Clock = Callable[[], float]


class Pace:
    """How long work takes, by what was done of it in this process: an earlier process took its own time."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._characters = self._sentences = self._seconds = 0.0
        self._since = clock()

    def go_on(self) -> None:
        """Leave out the time since the last work: something else was done in it."""
        self._since = self._clock()

    def done(self, size: BatchSize) -> None:
        """Take in what was done just now."""
        now = self._clock()
        self._characters = MEMORY * self._characters + size.characters
        self._sentences = MEMORY * self._sentences + size.sentences
        self._seconds = MEMORY * self._seconds + now - self._since
        self._since = now

    def seconds_for(self, characters: float) -> float | None:
        """Return how long so many padded characters take; None before the first are done."""
        return characters * self._seconds / self._characters if self._characters else None

    @property
    def sentences_per_second(self) -> float:
        """Of the last batches."""
        return self._sentences / self._seconds if self._seconds else 0.0


class Forecast:
    """What is left of a run: the batches of this epoch, further epochs like those that were seen, evaluations."""

    def __init__(self, config: LoopConfig, together: int) -> None:
        """``together``: batches of an optimiser step."""
        self._config = config
        self._together = together
        self._epoch = 0
        self._after: list[int] = [0]
        self._seen: list[tuple[int, int]] = []
        """Padded characters and steps of each epoch."""
        self._evaluation_s = 0.0

    def begin_epoch(self, epoch: int, sizes: Sequence[BatchSize]) -> None:
        """Take in the batches of an epoch."""
        self._epoch = epoch
        characters = accumulate((size.characters for size in reversed(sizes)), initial=0)
        self._after = list(characters)[::-1]
        self._seen.append((self._after[0], self._steps(len(sizes))))

    def evaluated(self, seconds: float) -> None:
        """Take in how long an evaluation took, with what is saved after it."""
        self._evaluation_s = seconds

    def left_in_epoch(self, batch: int) -> int:
        """Return the padded characters of the batches from a place on."""
        return self._after[batch]

    def left(self, batch: int, step: int) -> tuple[float, float]:
        """Return what is left of the run after so many batches of the epoch and steps of the run.

        Returns
        -------
        tuple
            Padded characters, and seconds of evaluation: none before the first one, of which nobody knows the time.
        """
        characters, steps = (sum(each) / len(self._seen) for each in zip(*self._seen, strict=True))
        here = self._steps(len(self._after) - 1 - batch)
        if not self._config.steps:
            epochs = self._config.epochs - self._epoch - 1
            rest = self._after[batch] + epochs * characters
            return rest, self._evaluation_s * (1 + epochs + self._within(here + epochs * steps))
        wanted = max(0, self._config.steps - step)
        if wanted < here:
            end = batch + wanted * self._together
            return self._after[batch] - self._after[end], self._evaluation_s * (1 + self._within(wanted))
        beyond = (wanted - here) / steps
        rest = self._after[batch] + beyond * characters
        return rest, self._evaluation_s * (1 + int(beyond) + (beyond > int(beyond)) + self._within(wanted))

    def _steps(self, batches: int) -> int:
        return -(-batches // self._together)

    def _within(self, steps: float) -> int:
        """Count the evaluations within epochs."""
        return int(steps // self._config.evaluate_steps) if self._config.evaluate_steps else 0


class Meter:
    """Shows how much of something countable is done: a bar on a terminal, elsewhere a line every half minute."""

    def __init__(self, label: str, total: int, unit: str, done: int = 0, *, clock: Clock = time.monotonic) -> None:
        self._label, self._total, self._unit = label, total, unit
        self._clock = clock
        self._next = clock() + LINE_EVERY_S
        columns = (
            *(TextColumn("{task.description}"), BarColumn(bar_width=20)),
            *(MofNCompleteColumn(), TextColumn("{task.fields[told]}")),
        )
        self._bar = Progress(*columns, console=CONSOLE, transient=True, disable=not is_on_a_terminal())
        self._task = self._bar.add_task(label, total=total, completed=done, told="")

    def __enter__(self) -> Meter:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, done: int, *told: str) -> None:
        """Show how much is done, with what else there is to tell."""
        if not self._bar.disable:
            self._bar.update(self._task, completed=done, told=", ".join(told))
        elif self._clock() >= self._next:
            self._next = self._clock() + LINE_EVERY_S
            LOG.info("%s", ", ".join((f"{self._label}: {done:,} of {self._total:,} {self._unit}", *told)))


class TrainingProgress:
    """Shows how far a run is, and how long its epoch and the whole run take still."""

    def __init__(
        self, config: LoopConfig, together: int, *, silent: bool = False, clock: Clock = time.monotonic
    ) -> None:
        """``together``: batches of an optimiser step; ``silent``: show nothing, as all but the first process do."""
        self._config = config
        self._silent = silent
        self._clock = clock
        self._pace = Pace(clock)
        self._forecast = Forecast(config, together)
        self._sizes: Sequence[BatchSize] = ()
        self._meter: Meter | None = None
        self._done = 0
        self.figures: dict[str, float] = {}
        """Shown beside the loss."""

    @property
    def sentences_per_second(self) -> float:
        """Of all processes together."""
        return self._pace.sentences_per_second

    def of_epoch(self, epoch: int, sizes: Sequence[BatchSize], done: int) -> TrainingProgress:
        """Begin to show an epoch, of which so many batches are done; a context that ends with it."""
        self._sizes, self._done = sizes, done
        self._forecast.begin_epoch(epoch, sizes)
        self._pace.go_on()
        if not self._silent:
            label = f"epoch {epoch + 1}" + ("" if self._config.steps else f"/{self._config.epochs}")
            self._meter = Meter(label, len(sizes), "batches", done, clock=self._clock)
        return self

    def __enter__(self) -> TrainingProgress:
        if self._meter is not None:
            self._meter.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        if self._meter is not None:
            self._meter.__exit__(*raised)

    def step(self, batch: int, step: int, loss: float) -> None:
        """Show that so many batches of the epoch, and steps of the run, are done."""
        sizes = self._sizes[self._done : batch]
        self._pace.done(BatchSize(*(sum(each) for each in zip(*sizes, strict=True))))
        self._done = batch
        if self._meter is not None:
            self._meter.show(batch, *self.told(step, loss))

    def told(self, step: int, loss: float) -> list[str]:
        """Return what is said beside the batches."""
        told = []
        of_epoch, of_run = self.seconds_left(step)
        if of_epoch is not None and of_run is not None:
            most = "at most " if self._config.patience else ""
            told.append(f"{duration(of_epoch)} left, {most}{duration(of_run)} of the run")
        told += [f"step {step:,}", f"loss {loss:.4f}", f"{self.sentences_per_second:,.0f} sentences/s"]
        return told + [f"{name.replace('_', ' ')} {value:,.4g}" for name, value in self.figures.items()]

    def seconds_left(self, step: int) -> tuple[float | None, float | None]:
        """Return how long the epoch and the run take still; None before the first batch."""
        characters, evaluation_s = self._forecast.left(self._done, step)
        run = self._pace.seconds_for(characters)
        epoch = self._pace.seconds_for(self._forecast.left_in_epoch(self._done))
        return epoch, None if run is None else run + evaluation_s

    def evaluated(self, seconds: float) -> None:
        """Take in an evaluation that has just ended."""
        self._forecast.evaluated(seconds)
        self._pace.go_on()
