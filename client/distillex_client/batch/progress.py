"""Show the progress of a run: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from distillex_client.durations import duration

if TYPE_CHECKING:
    from rich.console import Console

LOG = logging.getLogger("distillex.batch")
LINE_EVERY_S = 10.0


class Progress(Protocol):
    """Shows the progress of a run; a context that ends with it."""

    def __enter__(self) -> Progress:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def update(self, records: int, bad: int, position: float) -> None:
        """Tell records done in all, bad ones among them, and the part of the input read (0: not known)."""


class Silent:
    """Tell nothing."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def update(self, records: int, bad: int, position: float) -> None:
        """Tell nothing."""


class Rate:
    """Records a second and seconds left, from this run alone: what an earlier run did took no time in it."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first: tuple[int, float] | None = None
        self.records_per_s = 0.0
        self.left_s: float | None = None

    def update(self, records: int, position: float, *, at_start: bool = False) -> None:
        """Take a new standing."""
        if self._first is None or at_start:
            self._first = (records, position) if at_start else (0, 0.0)
        elapsed = max(1e-6, time.monotonic() - self._began)
        self.records_per_s = (records - self._first[0]) / elapsed
        advanced = position - self._first[1]
        self.left_s = elapsed * (1 - position) / advanced if advanced > 0 else None


class LogLines:
    """A log line every ten seconds."""

    def __init__(self, start: int = 0, position: float = 0.0) -> None:
        self._rate = Rate()
        self._rate.update(start, position, at_start=True)
        self._next = time.monotonic() + LINE_EVERY_S

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def update(self, records: int, bad: int, position: float) -> None:
        """Log, if it is time."""
        self._rate.update(records, position)
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINE_EVERY_S
        LOG.info("%s", describe(records, bad, position, self._rate))


class Bar:
    """A bar on the terminal."""

    def __init__(self, console: Console, start: int = 0, position: float = 0.0) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._rate = Rate()
        self._rate.update(start, position, at_start=True)
        columns = (BarColumn(), TextColumn("{task.description}"))
        self._bar = RichProgress(*columns, console=console, transient=True, redirect_stdout=False)
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, records: int, bad: int, position: float) -> None:
        """Move the bar."""
        self._rate.update(records, position)
        self._bar.update(
            self._task,
            description=describe(records, bad, position, self._rate),
            total=1.0 if position else None,
            completed=position,
        )


def describe(records: int, bad: int, position: float, rate: Rate) -> str:
    """Return one line: ``12,345 records, 812 records/s, 43 %, 12:10 left, 3 bad``."""
    parts = [f"{records:,} records", f"{rate.records_per_s:,.0f} records/s"]
    if position:
        parts.append(f"{position:.0%}")
    if rate.left_s is not None:
        parts.append(f"{duration(rate.left_s)} left")
    if bad:
        parts.append(f"{bad:,} bad")
    return ", ".join(parts)
