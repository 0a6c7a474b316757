"""Find all words of a dictionary in a text, by looking at every substring."""

from __future__ import annotations

from collections.abc import Mapping


def find_all(words: Mapping[str, int], text: str) -> list[tuple[int, int, int]]:
    """Return every ``(start, end, entry)`` with ``words[text[start:end]] == entry``, ordered by (start, end)."""
    return [
        (start, end, words[text[start:end]])
        for start in range(len(text))
        for end in range(start + 1, len(text) + 1)
        if text[start:end] in words
    ]
