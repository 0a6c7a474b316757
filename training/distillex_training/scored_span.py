"""An entity that a model found."""

from __future__ import annotations

from typing import NamedTuple

Span = tuple[int, int, str]
"""Bounds in code points, end-exclusive, and type."""


class ScoredSpan(NamedTuple):
    """What a model found, and its posterior."""

    start: int
    end: int
    type: str
    score: float

    @property
    def span(self) -> Span:
        """Bounds and type alone."""
        return self.start, self.end, self.type
