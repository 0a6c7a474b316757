"""Read rows of CSV and TSV with their line numbers, from broken and very large files too."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from distillex_client.errors import RecordTooLarge


@dataclass(frozen=True)
class CsvRow:
    """A row, or why there is none."""

    first_line: int
    last_line: int
    values: list[str]
    """Bytes that are not UTF-8 are lone surrogates, so that they spoil their own row alone."""
    problem: str | None = None


def read_rows(stream: BinaryIO, delimiter: str, largest_bytes: int) -> Iterator[CsvRow]:
    """Yield the rows that are not empty.

    A row has a problem if it has an unclosed quote, text after a closing quote, or more than ``largest_bytes`` bytes.
    Reading continues with the row after it.
    """
    # The limit is one for the whole process, so it is never lowered; what bounds a row is counted below.
    csv.field_size_limit(max(csv.field_size_limit(), largest_bytes))
    lines = _Lines(stream, largest_bytes)
    # Not strict, Python drops quotes and takes a file's whole rest for the text of a quote that is not closed.
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin_row()
        try:
            values = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield CsvRow(lines.first, lines.last, [], _sentence(error))
        except RecordTooLarge as error:
            yield CsvRow(lines.first, lines.last, [], str(error))
        else:
            if values:
                yield CsvRow(lines.first, lines.last, values)


class _Lines:
    """Lines as ``csv.reader`` wants them; a row that does not fit in memory ends with an error before it is there."""

    def __init__(self, stream: BinaryIO, largest_bytes: int) -> None:
        self._stream = stream
        self._largest_bytes = largest_bytes
        self._size_bytes = 0
        self.first = 1
        self.last = 0

    def begin_row(self) -> None:
        self.first = self.last + 1
        self._size_bytes = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(self._largest_bytes + 1)
        if not line:
            raise StopIteration
        self.last += 1
        self._size_bytes += len(line)
        if self._size_bytes > self._largest_bytes:
            while line and not line.endswith(b"\n"):
                line = self._stream.readline(self._largest_bytes)
            raise RecordTooLarge(self._largest_bytes)
        if self.last == self.first:
            # Also that of a file that was put behind another one.
            line = line.removeprefix(b"\xef\xbb\xbf")
        return line.decode("utf-8", "surrogateescape")


def _sentence(error: csv.Error) -> str:
    if "unexpected end of data" in str(error):
        return "a quoted value is not closed up to the end of the file"
    return str(error)
