"""Word lists, one word a line."""

from __future__ import annotations

from pathlib import Path

from distillex_matcher import is_word

from distillex_training.data.records import DataError, read_lines

SHORTEST = 2


def read_words(path: Path, longest: int) -> list[str]:
    """Read the words of 2 to ``longest`` code points that a lexicon can hold.

    Raises
    ------
    DataError
        For a file that cannot be read.
    """
    lines, problems = read_lines(path)
    if problems:
        raise DataError.of(problems)
    return [word for _, line in lines if is_filling(word := line.strip(), longest)]


def is_filling(word: str, longest: int) -> bool:
    """Tell whether a word is of 2 to ``longest`` code points and a lexicon can hold it."""
    return SHORTEST <= len(word) <= longest and is_word(word)
