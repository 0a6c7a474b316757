"""Read documents from text, JSON and CSV, one record at a time; bad ones are reported and skipped."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from distillex_client.batch.csv_rows import CsvRow, read_rows
from distillex_client.batch.fields import ReadingOptions, is_unicode, kind_of, record_of, twice_in
from distillex_client.batch.fingerprint import BLOCK_BYTES
from distillex_client.batch.json_elements import JsonElements
from distillex_client.batch.opening import UTF_8, OpenSource
from distillex_client.batch.plain_json import TOO_DEEP
from distillex_client.batch.records import BadRecord, Record
from distillex_client.batch.sources import InputFormat
from distillex_client.errors import RecordTooLarge

LARGEST_RECORD_BYTES = 64 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
WHITE_SPACE = b" \t\r\n"

Items = Iterator["Record | BadRecord"]


def read_records(opened: OpenSource, name: str, form: InputFormat, options: ReadingOptions) -> Items:
    """Yield the records of an open source that is not Parquet."""
    mark = opened.byte_order_mark()
    if mark is not None and options.encoding == UTF_8:
        yield BadRecord(name, f"not UTF-8: it begins as {mark.upper()} does (--encoding {mark})")
        return
    if form is not InputFormat.TXT or options.by_line:
        opened.end_lines_with_line_feeds()
    yield from _SourceReader(opened, name, options).read(form)


class _SourceReader:
    def __init__(self, opened: OpenSource, name: str, options: ReadingOptions) -> None:
        self._stream = opened.stream
        self._name = name
        self._options = options
        self._has_utf_8 = False

    def read(self, form: InputFormat) -> Items:
        if form is InputFormat.TXT:
            return self._lines_of_text() if self._options.by_line else self._whole_text()
        if form is InputFormat.JSONL:
            return self._json_lines(self._lines())
        return self._json() if form is InputFormat.JSON else self._csv("," if form is InputFormat.CSV else "\t")

    def _lines_of_text(self) -> Items:
        for place, line in self._lines():
            text = self._decode(place, line)
            if isinstance(text, BadRecord):
                yield text
            elif text.strip():
                yield Record(place, text, {"source": place, "text": text})

    def _whole_text(self) -> Items:
        name = self._name
        content = self._stream.read(LARGEST_RECORD_BYTES + 1)
        if len(content) > LARGEST_RECORD_BYTES:
            yield _too_large(name)
            return
        text = self._decode(name, content.removeprefix(BYTE_ORDER_MARK))
        yield text if isinstance(text, BadRecord) else Record(name, text, {"source": name, "text": text})

    def _json_lines(self, lines: Iterable[tuple[str, bytes | None]]) -> Items:
        for place, line in lines:
            if line is None or line.strip():
                yield self._json_record(place, line)

    def _json(self) -> Items:
        """Read a JSON array, one object over several lines, or JSON Lines, which many tools call ``.json`` too."""
        skipped = b""
        while (byte := self._stream.read(1)) and (byte in WHITE_SPACE or BYTE_ORDER_MARK.startswith(skipped + byte)):
            skipped += byte
        if byte == b"[":
            # Not line by line: the whole array may be one.
            yield from self._json_array()
            return
        lines = self._lines(byte, skipped.count(b"\n"))
        first = next(lines, None)
        if first is None:
            return
        if first[1] is None or first[1].rstrip(WHITE_SPACE).endswith(b"}"):
            # An object a line, also where the first is broken.
            yield from self._json_lines(itertools.chain([first], lines))
        else:
            content = first[1] + b"\n" + self._stream.read(LARGEST_RECORD_BYTES)
            yield self._json_record(self._name, content if len(content) <= LARGEST_RECORD_BYTES else None)

    def _json_array(self) -> Items:
        blocks = iter(lambda: self._stream.read1(BLOCK_BYTES), b"")  # type: ignore[attr-defined]
        elements = JsonElements(blocks, LARGEST_RECORD_BYTES)
        for number, element in enumerate(elements, start=1):
            yield self._json_record(f"{self._name}:{number}", element)
        if elements.problem is not None:
            yield BadRecord(self._name, f"not JSON: {elements.problem}")

    def _json_record(self, place: str, content: bytes | None) -> Record | BadRecord:
        decoded = self._decode(place, content)
        if isinstance(decoded, BadRecord):
            return decoded
        try:
            fields = _JSON.decode(decoded)
        except ValueError as error:
            return BadRecord(place, f"not JSON: {error}")
        except RecursionError:
            return BadRecord(place, TOO_DEEP)
        if not isinstance(fields, dict):
            return BadRecord(place, f"not a JSON object but {kind_of(fields)}")
        return record_of(place, fields, self._options)

    def _csv(self, delimiter: str) -> Items:
        options = self._options
        columns: list[str] | None = None
        for row in read_rows(self._stream, delimiter, LARGEST_RECORD_BYTES):
            problem = self._problem_of_row(row, columns)
            if columns is None:
                columns = row.values
                problem = problem or _problem_of_header(columns, options)
                if problem is not None:
                    yield BadRecord(self._name, problem)
                    return
            elif problem is not None:
                yield BadRecord(f"{self._name}:{row.first_line}", problem)
            else:
                fields = dict(zip(columns, row.values, strict=True))
                yield record_of(f"{self._name}:{row.first_line}", fields, options)

    def _problem_of_row(self, row: CsvRow, columns: Sequence[str] | None) -> str | None:
        if row.problem is not None:
            several = f" (lines {row.first_line} to {row.last_line})" if row.last_line > row.first_line else ""
            return f"not CSV: {row.problem}{several}"
        names = columns or ["the header"] * len(row.values)
        if len(row.values) != len(names):
            return f"{len(row.values)} values where the header has {len(names)} columns"
        for name, value in zip(names, row.values, strict=True):
            if not is_unicode(value):
                where = f"column {name!r}" if columns else name
                return f"{where} is not {self._encoding_and_hint(value.encode(UTF_8, 'surrogateescape'))}"
            self._has_utf_8 = self._has_utf_8 or not value.isascii()
        return None

    def _lines(self, beginning: bytes = b"", number: int = 0) -> Iterator[tuple[str, bytes | None]]:
        """Yield place and bytes of each line without its end; None for a line over the limit.

        ``beginning`` is what was read of the first line, ``number`` how many lines were read before it.
        """
        while line := beginning + self._stream.readline(LARGEST_RECORD_BYTES + 1):
            beginning = b""
            number += 1
            place = f"{self._name}:{number}"
            if len(line) > LARGEST_RECORD_BYTES:
                while line and not line.endswith(b"\n"):
                    line = self._stream.readline(LARGEST_RECORD_BYTES)
                yield place, None
                continue
            # Inside, too: that of a file that was put behind another one.
            yield place, line.removeprefix(BYTE_ORDER_MARK).removesuffix(b"\n").removesuffix(b"\r")

    def _decode(self, place: str, content: bytes | None) -> str | BadRecord:
        if content is None:
            return _too_large(place)
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            if self._options.encoding == UTF_8:
                where = f"byte {error.start}"
            else:
                # The bytes are not those of the file.
                where = f"character {len(content[: error.start].decode())}"
            return BadRecord(place, f"not {self._encoding_and_hint(content, f' ({where})')}")
        self._has_utf_8 = self._has_utf_8 or not text.isascii()
        return text

    def _encoding_and_hint(self, content: bytes, where: str = "") -> str:
        """Name the encoding that the bytes are not of, and the one that they could be of."""
        encoding = self._options.encoding
        if encoding != UTF_8:
            return encoding + where
        hint = ""
        if b"\0" in content:
            # Which of the two cannot be told from a line, whose end may be half of a character.
            hint = ", but could be UTF-16: --encoding utf-16-le or utf-16-be"
        elif not self._has_utf_8 and is_gb18030(content):
            hint = ", but could be GB 18030: --encoding gb18030"
        return f"UTF-8{where}{hint}"


def _problem_of_header(columns: Sequence[str], options: ReadingOptions) -> str | None:
    if options.text_field not in columns:
        return f"no column {options.text_field!r} (--text-field); its columns: {list(columns)}"
    if twice := twice_in(columns):
        return f"two columns have the name {twice[0]!r}: {list(columns)}"
    return None


def is_gb18030(content: bytes) -> bool:
    """Tell whether bytes could be of GB 18030."""
    try:
        content.decode("gb18030")
    except UnicodeDecodeError:
        return False
    return True


def _too_large(place: str) -> BadRecord:
    return BadRecord(place, f"{RecordTooLarge(LARGEST_RECORD_BYTES)} (--per line makes each line of a text a document)")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError(f"two fields have the name {twice_in(name for name, _ in pairs)[0]!r}")
    return fields


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        # Python's own words tell programmers how to raise its limit.
        raise ValueError(f"an integer has {len(digits.lstrip('-')):,} digits, too many to be read") from None


_JSON = json.JSONDecoder(parse_int=_integer, parse_constant=_refuse_constant, object_pairs_hook=_object)
