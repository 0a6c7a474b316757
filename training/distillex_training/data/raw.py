"""Unlabelled text: one sentence a line, or the texts of labelled files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from distillex_training.data.records import Problem, read_lines, read_records
from distillex_training.errors import DataError

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
        For a file that is missing, lines that are not UTF-8 or wrong as labelled ones (those of all files), or when
        nothing is left.
    """
    sentences: dict[str, None] = {}
    problems: list[Problem] = []
    longer = 0
    for path in paths:
        lines, found = _labelled_texts(path) if path.suffix == LABELLED_SUFFIX else _lines(path)
        problems += found
        for line in lines:
            text = line.strip()
            if len(text) > max_length:
                longer += 1
            elif text:
                sentences[text] = None
    if problems:
        raise DataError.of(problems)
    if not sentences:
        raise DataError(f"no sentence of at most {max_length} characters in {', '.join(map(str, paths))}")
    return list(sentences), longer


def _lines(path: Path) -> tuple[list[str], list[Problem]]:
    lines, problems = read_lines(path)
    number, first = next(((number, line) for number, line in lines if line.strip()), (0, ""))
    if is_json(first):
        problems.append(Problem(path, number, f"JSON, not a sentence; texts are read of files named {LABELLED_SUFFIX}"))
    return [line for _, line in lines], problems


def is_json(line: str) -> bool:
    """Tell whether a line, the first of a raw text, is a JSON object or begins an array of them."""
    if line.strip() in ("[", "[{", "{"):
        return True
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value))


def _labelled_texts(path: Path) -> tuple[list[str], list[Problem]]:
    file = read_records(path, labelled=False)
    return [record.text for record in file.records], file.problems
