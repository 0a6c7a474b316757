"""Hugging Face's ``tokens`` and ``ner_tags`` as JSON: a list of tokens and a list of tags, by name or by number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.json_records import json_objects
from distillex_training.data.formats.reading import Reading, Source
from distillex_training.data.formats.tags import Tagged, is_tag, no_tag, tagged_row, tags_of, take
from distillex_training.data.formats.writing import Output, json_lines_of
from distillex_training.data.records import Record
from distillex_training.errors import DataError

TOKEN_KEYS = ("tokens", "words", "chars", "text", "sentence")
TAG_KEYS = ("ner_tags", "tags", "labels", "label", "ner", "ner_labels")


def read_token_tags(source: Source) -> Reading:
    """Read a file.

    Raises
    ------
    DataError
        For tags that are numbers, where the options do not name them; for tag names that are no tags.
    """
    reading = Reading(source.path, source.options)
    return take_rows(reading, json_objects(reading, source.text), source.options.tag_names)


def take_rows(reading: Reading, rows: Iterable[tuple[int, dict[str, Any]]], names: Sequence[str]) -> Reading:
    """Take rows with their numbers; ``names`` are those of tags that are numbers.

    Raises
    ------
    DataError
        As :func:`read_token_tags`.
    """
    for name in names:
        if not is_tag(name):
            raise DataError(f"{reading.path}: tag names: {no_tag(name)}")
    return take(reading, [_sentence(reading, line, row, names) for line, row in rows])


def write_token_tags(records: Sequence[Record], output: Output) -> None:
    """Write a token a character, tags by name; records have no overlapping spans."""
    lines = [
        {"tokens": list(each.text), "ner_tags": tags_of(len(each.text), each.spans, output.scheme)} for each in records
    ]
    write_atomically(output.path, json_lines_of(lines))


def keys_of(row: Any) -> tuple[str, str] | None:
    """Return where a row has its tokens and its tags; None where it is no such row."""
    if not isinstance(row, dict):
        return None
    token_key = next((key for key in TOKEN_KEYS if _is_list(row.get(key), str)), None)
    tag_key = next((key for key in TAG_KEYS if key != token_key and _is_list(row.get(key), (str, int))), None)
    return None if token_key is None or tag_key is None else (token_key, tag_key)


def _is_list(value: Any, kinds: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, kinds) for each in value)


def _sentence(reading: Reading, line: int, row: dict[str, Any], names: Sequence[str]) -> Tagged:
    keys = keys_of(row)
    if keys is None:
        reason = f"no list of tokens ({', '.join(TOKEN_KEYS)}) and list of tags ({', '.join(TAG_KEYS)}) in it"
        return Tagged(line, reasons=[(line, reason)])
    tags = []
    for tag in row[keys[1]]:
        if isinstance(tag, str):
            tags.append(tag)
        elif not names:
            raise DataError(
                f"{reading.path}:{line}: its tags are numbers ({tag!r}): name them in order, such as --tag-names "
                "O,B-name,I-name"
            )
        elif not 0 <= tag < len(names):
            reason = f"the tag {tag} has no name: {len(names)} are named ({', '.join(names)})"
            return Tagged(line, reasons=[(line, reason)])
        else:
            tags.append(names[tag])
    return tagged_row(line, row[keys[0]], tags)
