"""Find all words of a dictionary in a text, by looking at every substring."""

from __future__ import annotations

from collections.abc import Mapping

from distillex_matcher.reference.fold import is_cased_letter


def find_all(words: Mapping[str, int], text: str) -> list[tuple[int, int, int]]:
    """Return every ``(start, end, entry)`` with ``words[text[start:end]] == entry``, ordered by (start, end)."""
    return [
        (start, end, words[text[start:end]])
        for start in range(len(text))
        for end in range(start + 1, len(text) + 1)
        if text[start:end] in words
    ]


def stands_alone(text: str, start: int, end: int) -> bool:
    """Tell whether a word of a folded text is no part of a longer one; without cased letters it never is."""

    def are_one_word(place: int) -> bool:
        first, second = text[place - 1 : place], text[place : place + 1]
        return any(first and second and of(first) and of(second) for of in (is_cased_letter, _is_digit))

    return not any(map(is_cased_letter, text[start:end])) or not (are_one_word(start) or are_one_word(end))


def _is_digit(character: str) -> bool:
    return "0" <= character <= "9"
