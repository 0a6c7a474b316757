"""Which named lexicons a caller may use."""

from __future__ import annotations

import re
from dataclasses import dataclass

from distillex_matcher.lexicon_store import NAME_PATTERN

PATTERN = re.compile(rf"\*|{NAME_PATTERN.pattern}\*?")
"""A lexicon's name, or the beginning of names before a ``*``."""


@dataclass(frozen=True)
class LexiconRights:
    """The lexicons of somebody: names, and beginnings of names that end with ``*``.

    Raises
    ------
    ValueError
        Names the pattern that is none.
    """

    patterns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            if not PATTERN.fullmatch(pattern):
                raise ValueError(
                    f"{pattern[:80]!r} is neither the name of a lexicon nor a beginning of names, such as 'acme-*'"
                )

    def allow(self, name: str) -> bool:
        """Tell whether a lexicon of this name is one of them."""
        return any(
            name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in self.patterns
        )
