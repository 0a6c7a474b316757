"""Contestants that take turns, so that a machine's good and bad minutes meet all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def alternate(turns: Sequence[Callable[[], float]], rounds: int) -> list[list[float]]:
    """Call all in turn, every other round backwards; return what each returned, a value a round."""
    values: list[list[float]] = [[] for _ in turns]
    for number in range(rounds):
        order = range(len(turns)) if number % 2 == 0 else reversed(range(len(turns)))
        for place in order:
            values[place].append(turns[place]())
    return values
