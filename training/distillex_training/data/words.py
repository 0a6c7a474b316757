"""Read word lists, one word per line."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from distillex_matcher import is_word

from distillex_training.data.records import read_lines
from distillex_training.errors import DataError

LOG = logging.getLogger("distillex.training")
SHORTEST = 2


def read_words(path: Path, longest: int) -> list[str]:
    """Read the words of a list, as far as :func:`filling_words` takes them.

    Raises
    ------
    DataError
        For a file that cannot be read.
    """
    lines, problems = read_lines(path)
    if problems:
        raise DataError.of(problems)
    return filling_words([word for _, line in lines if (word := line.strip())], longest, str(path))


def filling_words(words: Sequence[str], longest: int, source: str) -> list[str]:
    """Return the words of 2 to ``longest`` code points that a lexicon can hold; the log says what else there was.

    ``source``: where they come from, for the log.
    """
    kept = [word for word in words if SHORTEST <= len(word) <= longest and is_word(word)]
    if len(kept) < len(words):
        used = set(kept)
        first = next(word for word in words if word not in used)
        LOG.warning(
            "%s: %d of %d words left out, such as %.60r of %d characters: used are words of %d to %d characters that a "
            "lexicon can hold",
            *(source, len(words) - len(kept), len(words), first, len(first), SHORTEST, longest),
        )
    return kept
