"""Unlabelled text: one sentence a line, or the texts of labelled files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distillex_training.data.records import DataError, read_lines, read_records

LABELLED_SUFFIX = ".jsonl"


def read_raw(paths: Sequence[Path], *, max_length: int) -> tuple[list[str], int]:
    """Read the sentences of at most ``max_length`` code points, without repeats, in file order.

    Parameters
    ----------
    paths
        Text files; of a labelled JSON Lines file (``.jsonl``) the texts are read, whatever its entities are.
    max_length
        Longest sentence that is read. Code points.

    Returns
    -------
    tuple
        The sentences, and how many longer ones were left out.

    Raises
    ------
    DataError
        For a file that is missing, a line that is not UTF-8 or wrong as a labelled one, or when nothing is left.
    """
    sentences: dict[str, None] = {}
    longer = 0
    for path in paths:
        for line in _labelled_texts(path) if path.suffix == LABELLED_SUFFIX else _lines(path):
            text = line.strip()
            if len(text) > max_length:
                longer += 1
            elif text:
                sentences[text] = None
    if not sentences:
        raise DataError(f"no sentence of at most {max_length} characters in {', '.join(map(str, paths))}")
    return list(sentences), longer


def _lines(path: Path) -> list[str]:
    lines, problems = read_lines(path)
    if problems:
        raise DataError.of(problems)
    return [line for _, line in lines]


def _labelled_texts(path: Path) -> list[str]:
    file = read_records(path)
    if file.problems:
        raise DataError.of(file.problems)
    return [record.text for record in file.records]
