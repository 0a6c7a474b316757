"""Unlabelled text, one sentence a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distillex_training.data.labelled import DataError


def read_raw(paths: Sequence[Path], *, max_length: int) -> tuple[list[str], int]:
    """Read the sentences of at most ``max_length`` code points, without repeats, in file order.

    Returns
    -------
    tuple
        The sentences, and how many longer ones were left out.

    Raises
    ------
    DataError
        For a file that is missing or not UTF-8, or when nothing is left.
    """
    sentences: dict[str, None] = {}
    longer = 0
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: {error}") from None
        for line in lines:
            text = line.strip()
            if len(text) > max_length:
                longer += 1
            elif text:
                sentences[text] = None
    if not sentences:
        raise DataError(f"no sentence of at most {max_length} characters in {', '.join(map(str, paths))}")
    return list(sentences), longer
