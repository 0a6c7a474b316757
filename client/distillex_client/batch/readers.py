"""Read documents out of text, JSON Lines and CSV, a record at a time; bad ones are named and passed by."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from distillex_client.batch.errors import BatchError
from distillex_client.batch.records import BadRecord, Record
from distillex_client.batch.sources import STANDARD_INPUT, InputFormat, OpenSource, Source, damage_errors, open_source

LARGEST_RECORD_BYTES = 64 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Items = Iterator["Record | BadRecord"]


@dataclass(frozen=True)
class ReadingOptions:
    """What is a document, and where its text stands."""

    by_line: bool = False
    """Of plain text: each line is a document, not each file."""
    text_field: str = "text"
    entities_field: str = "entities"
    """Where the output has its entities; the input may not have a field of this name."""
    parquet_rows: bool = False
    """Keep rows of Parquet as they are, for an output that is Parquet."""


def read_all(sources: Iterable[Source], options: ReadingOptions) -> Items:
    """Yield the records of all sources in order; what cannot be read is a bad record, the others go on."""
    sources = list(sources)
    total = sum(source.size_bytes for source in sources)
    known = total > 0 and all(source.name != STANDARD_INPUT for source in sources)
    before = 0
    for source in sources:
        for item, consumed in _read_source(source, options):
            if known and isinstance(item, Record):
                item.position = (before + consumed) / total
            yield item
        before += source.size_bytes


def _read_source(source: Source, options: ReadingOptions) -> Iterator[tuple[Record | BadRecord, int]]:
    if source.format is InputFormat.PARQUET:
        from distillex_client.batch.parquet import read_parquet

        for item, fraction in read_parquet(source, options):
            yield item, int(fraction * source.size_bytes)
        return
    place = source.name
    try:
        with open_source(source) as opened:
            for item in _READERS[source.format](opened, source.name, options):
                place = item.place
                yield item, opened.consumed_bytes()
    except BatchError:
        raise
    except damage_errors() as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        where = "" if place == source.name else f" after {place}"
        yield BadRecord(source.name, f"cannot be read{where}: {reason}"), 0


def _read_text(opened: OpenSource, name: str, options: ReadingOptions) -> Items:
    if options.by_line:
        for place, line in _lines(opened, name):
            text = _decode(place, line)
            if isinstance(text, BadRecord):
                yield text
            elif text.strip():
                yield Record(place, text, {"source": place, "text": text})
        return
    content = opened.stream.read(LARGEST_RECORD_BYTES + 1)
    if len(content) > LARGEST_RECORD_BYTES:
        yield _too_large(name)
        return
    document = _decode(name, content.removeprefix(BYTE_ORDER_MARK))
    yield document if isinstance(document, BadRecord) else Record(name, document, {"source": name, "text": document})


def _read_json_lines(opened: OpenSource, name: str, options: ReadingOptions) -> Items:
    for place, line in _lines(opened, name):
        if line is not None and not line.strip():
            continue
        decoded = _decode(place, line)
        if isinstance(decoded, BadRecord):
            yield decoded
            continue
        try:
            fields = _JSON.decode(decoded)
        except (ValueError, RecursionError) as error:
            yield BadRecord(place, f"not JSON: {str(error) or type(error).__name__}")
            continue
        if not isinstance(fields, dict):
            yield BadRecord(place, f"not a JSON object but {_kind(fields)}")
            continue
        yield record_of(place, fields, options)


def _read_csv(opened: OpenSource, name: str, options: ReadingOptions) -> Items:
    csv.field_size_limit(LARGEST_RECORD_BYTES)
    # Bytes that are not UTF-8 become lone surrogates, so that they spoil their own row alone.
    text = io.TextIOWrapper(opened.stream, "utf-8-sig", errors="surrogateescape", newline="")
    rows = csv.reader(text)
    columns: list[str] | None = None
    while True:
        place = f"{name}:{rows.line_num + 1}"
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            yield BadRecord(place, f"not CSV: {error}")
            continue
        if not row:
            continue
        if columns is None:
            columns = row
            if options.text_field not in columns:
                yield BadRecord(name, f"no column {options.text_field!r} (--text-field); its columns: {columns}")
                break
            continue
        if len(row) != len(columns):
            yield BadRecord(place, f"{len(row)} values where the header has {len(columns)} columns")
            continue
        fields = dict(zip(columns, row, strict=True))
        broken = next((column for column, value in fields.items() if not _is_unicode(value)), None)
        if broken is not None:
            yield BadRecord(place, f"column {broken!r} is not UTF-8")
            continue
        yield record_of(place, fields, options)
    # The stream belongs to open_source.
    text.detach()


def record_of(place: str, fields: dict[str, Any], options: ReadingOptions) -> Record | BadRecord:
    """Return the record of an object with fields, or what is wrong with it."""
    if options.text_field not in fields:
        return BadRecord(place, f"no field {options.text_field!r} (--text-field); its fields: {sorted(fields)}")
    text = fields[options.text_field]
    if not isinstance(text, str):
        return BadRecord(place, f"field {options.text_field!r} is not a string but {_kind(text)}")
    if options.entities_field in fields:
        return BadRecord(place, f"has a field {options.entities_field!r} already (--entities-field gives another name)")
    return Record(place, text, fields)


def _lines(opened: OpenSource, name: str) -> Iterator[tuple[str, bytes | None]]:
    """Yield place and bytes of each line without its end; None for a line over the limit."""
    number = 0
    while line := opened.stream.readline(LARGEST_RECORD_BYTES + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        place = f"{name}:{number}"
        if len(line) > LARGEST_RECORD_BYTES:
            while line and not line.endswith(b"\n"):
                line = opened.stream.readline(LARGEST_RECORD_BYTES)
            yield place, None
            continue
        yield place, line.removesuffix(b"\n").removesuffix(b"\r")


def _decode(place: str, content: bytes | None) -> str | BadRecord:
    if content is None:
        return _too_large(place)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        return BadRecord(place, f"not UTF-8 (byte {error.start})")


def _too_large(place: str) -> BadRecord:
    return BadRecord(place, f"over {LARGEST_RECORD_BYTES:,} bytes (--per line makes each line of a text a document)")


def _is_unicode(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    return {"NoneType": "null", "str": "a string", "list": "a list", "dict": "an object"}[type(value).__name__]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)
_READERS = {InputFormat.TXT: _read_text, InputFormat.JSONL: _read_json_lines, InputFormat.CSV: _read_csv}
