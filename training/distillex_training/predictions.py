"""Entities that were found before, in a file as ``distillex predict`` and ``distillex extract`` write it."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distillex_training.data.labelled import Sentence, disjoint_records
from distillex_training.data.records import Record, read_lines, read_records
from distillex_training.errors import DataError
from distillex_training.scored_span import ScoredSpan

LOG = logging.getLogger("distillex.compare")
ENTITIES = "entities"
KEYS = {"start", "end", "type"}
SHOWN = 30
"""Characters of a text in a message."""


def read_found(path: Path, field: str | None = None) -> list[Record]:
    """Read the texts and the found entities of a file; of overlapping ones the longest stays.

    Parameters
    ----------
    path
        JSON Lines.
    field
        The key of the entities; None: the only key that can be it.

    Raises
    ------
    DataError
        For lines that are no such object, and for a file in which several keys may hold them.
    """
    lines, problems = read_lines(path)
    if problems:
        raise DataError.of(problems)
    name = field or _field_of(path, [line for _, line in lines])
    missing = [number for number, line in lines if line.strip() and name not in _object(line)]
    if missing:
        raise DataError(f"{path}:{missing[0]}: no object with {name!r}, in which the found entities are expected")
    file = read_records(path, text="\n".join(_with_entities(line, name) for _, line in lines))
    if file.problems:
        raise DataError.of(file.problems)
    records, changed = disjoint_records(path, file.records)
    if changed:
        LOG.warning("%s: %d found entities are left out; %s", path, len(changed), changed[0])
    return records


def align(found: Sequence[Record], sentences: Sequence[Sentence], data: Path) -> list[list[ScoredSpan]]:
    """Return the found entities of each sentence; without scores, which are no number.

    Parameters
    ----------
    found
        Records of the same texts in the same order.
    sentences
        Of ``data``; a text over the limit is several.
    data
        The labelled file, for messages.

    Raises
    ------
    DataError
        For a text that is another one, or missing.
    """
    spans: list[list[ScoredSpan]] = []
    for record in found:
        offset = 0
        left = [(each.start, each.end, each.type) for each in record.spans]
        while offset < len(record.text):
            number = len(spans)
            expected = sentences[number].text if number < len(sentences) else ""
            end = offset + len(expected)
            if not expected or record.text[offset:end] != expected:
                raise DataError(
                    f"{record.where}: the text is {_start(record.text[offset:])}; sentence {number + 1} of {data} is "
                    f"{_start(expected) if expected else 'not there'}: the same texts in the same order are expected"
                )
            # One that goes beyond its sentence is none of that sentence: it is wrong as it stands.
            spans.append([ScoredSpan(a - offset, b - offset, kind, math.nan) for a, b, kind in left if a < end])
            left = [each for each in left if each[0] >= end]
            offset = end
    if len(spans) < len(sentences):
        path = found[0].path if found else data
        raise DataError(
            f"{path}: ends after {len(spans):,} of the {len(sentences):,} sentences of {data}; the next is "
            f"{_start(sentences[len(spans)].text)}"
        )
    return spans


def _start(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def _field_of(path: Path, lines: Sequence[str]) -> str:
    """Return the key of the entities; one that never holds any may be that of a model that found none."""
    values: dict[str, bool] = {}
    for line in lines:
        for key, value in _object(line).items():
            values[key] = values.get(key, True) and _are_entities(value)
    fields = sorted(key for key, are_entities in values.items() if are_entities)
    if len(fields) > 1:
        raise DataError(
            f"{path}: {' and '.join(map(repr, fields))} may hold what was found: --entities-field says which"
        )
    return fields[0] if fields else ENTITIES


def _with_entities(line: str, name: str) -> str:
    if name == ENTITIES or not line.strip():
        return line
    record = _object(line)
    return json.dumps({"text": record.get("text"), ENTITIES: record[name]}, ensure_ascii=False)


def _object(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _are_entities(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) and set(each) >= KEYS for each in value)
