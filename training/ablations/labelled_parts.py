"""Parts of labelled files, written beside the runs that train on them, and named in a run's settings."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from distillex_matcher.layout import write_atomically
from distillex_training.config import Corpus
from distillex_training.data.records import read_lines
from distillex_training.errors import DataError


def lines_of(path: Path) -> list[str]:
    """Return the lines of a labelled file that hold a record, without line ends.

    Raises
    ------
    DataError
        For a file that cannot be read or is not UTF-8.
    """
    lines, problems = read_lines(path)
    if problems:
        raise DataError.of(problems)
    return [line for _, line in lines if line.strip()]


def write_lines(lines: Iterable[str], target: Path) -> Path:
    """Write lines into a file of a folder that need not be there yet; return its absolute path."""
    write_atomically(target, "".join(line + "\n" for line in lines))
    return target.resolve()


def draw(source: Path, count: int, seed: int, target: Path) -> Path:
    """Write so many records of a labelled file, drawn at random; 0: all, in their order.

    Raises
    ------
    DataError
        As :func:`lines_of`; for a file of fewer records.
    """
    lines = lines_of(source)
    if count > len(lines):
        raise DataError(f"{source}: {len(lines)} sentences; {count} were asked for")
    return write_lines(random.Random(seed).sample(lines, count) if count else lines, target)


def as_setting(corpora: Sequence[Corpus]) -> str:
    """Return corpora as the value of ``data.train``, ``data.dev`` or ``data.test`` over a configuration file."""
    listed = []
    for corpus in corpora:
        values = {each.name: getattr(corpus, each.name) for each in dataclasses.fields(corpus)}
        listed.append({k: str(v.resolve()) if isinstance(v, Path) else v for k, v in values.items()})
    return json.dumps(listed)
