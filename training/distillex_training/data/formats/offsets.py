"""Offsets that other tools count in other units than code points, found out by the surface that a span has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Count:
    """One way to count the characters of a text."""

    name: str
    utf_16: bool = False
    line_end: int = 0
    """What ``\\r\\n`` and ``\\n`` count alike; 0: as many as they have."""

    @lru_cache(maxsize=8)  # noqa: B019 (counts live as long as the module)
    def code_points(self, text: str) -> dict[int, int]:
        """Return the position in code points of each offset that lies between two characters."""
        position_of: dict[int, int] = {}
        offset = 0
        for position, character in enumerate(text):
            position_of.setdefault(offset, position)
            if self.line_end and character == "\r" and text[position + 1 : position + 2] == "\n":
                continue
            if self.line_end and character == "\n":
                offset += self.line_end
            else:
                offset += 2 if self.utf_16 and character > "\uffff" else 1
        position_of.setdefault(offset, len(text))
        return position_of


UTF_16 = Count("in UTF-16 units", utf_16=True)
COUNTS = (
    UTF_16,
    Count("with each line end as one character", line_end=1),
    Count("in UTF-16 units, with each line end as one", utf_16=True, line_end=1),
    Count("with each line end as two characters", line_end=2),
)


def converted(text: str, start: int, end: int, count: Count) -> tuple[int, int] | None:
    """Return the code points of a span that was counted otherwise; None where it does not lie in the text."""
    position_of = count.code_points(text)
    found = position_of.get(start), position_of.get(end)
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def count_of(text: str, spans: Sequence[tuple[int, int, str | None]]) -> Count | None:
    """Return the count by which the spans of a text have their surfaces; None: by code points, or by no count.

    It is one for all of them: what one tool counted in one text it counted in one way.
    """
    known = [(start, end, surface) for start, end, surface in spans if surface is not None]
    if all(has_surface(text, *span) for span in known):
        return None
    return next((count for count in COUNTS if _fits(text, known, count)), None)


def _fits(text: str, spans: Sequence[tuple[int, int, str]], count: Count) -> bool:
    for start, end, surface in spans:
        place = converted(text, start, end, count)
        if place is None or not has_surface(text, *place, surface):
            return False
    return True


def has_surface(text: str, start: int, end: int, surface: str) -> bool:
    """Tell whether a span of a text has a surface, whatever its line ends."""
    found = text[start:end] if 0 <= start <= end else None
    return found == surface or (found is not None and _plain(found) == _plain(surface))


def _plain(surface: str) -> str:
    return surface.replace("\r\n", "\n")


def is_counted_twice(text: str) -> bool:
    """Tell whether a text has characters that UTF-16 counts as two."""
    return any(character > "\uffff" for character in text)
