"""Make a record of an object with fields: find its text, and check it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from distillex_client.batch.opening import UTF_8
from distillex_client.batch.records import BadRecord, Record


@dataclass(frozen=True)
class ReadingOptions:
    """What is a document, and where its text stands."""

    by_line: bool = False
    """Of plain text: each line is a document, not each file."""
    text_field: str = "text"
    entities_field: str = "entities"
    """Where the output has its entities; the input may not have a field of this name."""
    encoding: str = UTF_8
    """Of all inputs but Parquet, as Python names it."""
    parquet_rows: bool = False
    """Keep rows of Parquet as they are, for an output that is Parquet."""


def record_of(place: str, fields: dict[str, Any], options: ReadingOptions) -> Record | BadRecord:
    """Return the record of an object with fields, or what is wrong with it."""
    if options.text_field not in fields:
        return BadRecord(place, f"no field {options.text_field!r} (--text-field); its fields: {sorted(fields)}")
    text = fields[options.text_field]
    if not isinstance(text, str):
        return BadRecord(place, f"field {options.text_field!r} is not a string but {kind_of(text)}")
    if options.entities_field in fields:
        return BadRecord(place, f"has a field {options.entities_field!r} already (--entities-field gives another name)")
    return Record(place, text, fields)


def twice_in(names: Iterable[str]) -> list[str]:
    """Return the names that stand there more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def is_unicode(value: str) -> bool:
    """Tell whether a string can be written as UTF-8: it has no half characters."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def kind_of(value: Any) -> str:
    """Name the kind of a value of JSON."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    return {"NoneType": "null", "str": "a string", "list": "a list", "dict": "an object"}[type(value).__name__]
