"""Contestants that take turns, so that a machine's good and bad minutes meet all of them; how long a turn takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence


def alternate(turns: Sequence[Callable[[], float]], rounds: int) -> list[list[float]]:
    """Call all in turn, every other round backwards; return what each returned, a value a round."""
    values: list[list[float]] = [[] for _ in turns]
    for number in range(rounds):
        order = range(len(turns)) if number % 2 == 0 else reversed(range(len(turns)))
        for place in order:
            values[place].append(turns[place]())
    return values


def seconds_of(run: Callable[[], object], repeats: int = 1) -> float:
    """Return how long so many calls take."""
    began = time.perf_counter()
    for _ in range(repeats):
        run()
    return time.perf_counter() - began
