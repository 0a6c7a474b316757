"""Our own JSON Lines: ``{"text": …, "entities": [{"start": …, "end": …, "type": …}]}``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.reading import Reading, Source
from distillex_training.data.formats.writing import Output
from distillex_training.data.records import Record, read_records


def read_own(source: Source) -> Reading:
    """Read a file as training does."""
    file = read_records(source.path, text=source.text)
    refused = len({problem.line for problem in file.problems})
    return Reading(source.path, source.options, file.records, file.problems, refused)


def write_own(records: Sequence[Record], output: Output) -> None:
    """Write records, with all that they hold."""
    write_records(output.path, records)


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Write records as our JSON Lines, atomically."""
    write_atomically(path, "".join(record.json_line() for record in records))
