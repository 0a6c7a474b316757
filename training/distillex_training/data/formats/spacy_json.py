"""spaCy as JSON: ``[[TEXT, {"entities": [[START, END, TYPE], …]}], …]``, and what ``Doc.to_json`` gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.json_records import json_values
from distillex_training.data.formats.reading import Labelled, Reading, Source
from distillex_training.data.formats.writing import Output, json_array_of
from distillex_training.data.records import GoldSpan, Record
from distillex_training.errors import DataError

TEXT_KEYS = ("annotations", "data")
"""Where a file that is one object has its texts."""


def read_spacy_json(source: Source) -> Reading:
    """Read a file of pairs, one a line or in an array (also under ``"annotations"``), or of documents with ``ents``.

    Raises
    ------
    DataError
        For the training format of spaCy 2 (``paragraphs``), which ``python -m spacy convert`` makes a ``.spacy`` of.
    """
    reading = Reading(source.path, source.options)
    for line, value in _pairs(reading, source):
        match value:
            case [str(text), {"entities": list(entities)}]:
                reading.add(line, text, *_spans(entities))
            case {"text": str(text), "ents": list(entities)}:
                reading.add(line, text, *_spans(entities))
            case [str(), _] | {"text": str()}:
                reading.refuse(line, 'no list "entities": this text is not labelled')
            case None:
                continue
            case {"paragraphs": _}:
                raise DataError(
                    f"{source.path}: spaCy 2's training format; 'python -m spacy convert' makes a .spacy file of it"
                )
            case _:
                reading.refuse(line, f'expected [text, {{"entities": …}}], found {str(value)[:60]}')
    return reading.finish()


def write_spacy_json(records: Sequence[Record], output: Output) -> None:
    """Write pairs of a text and its entities; records have no overlapping spans, as spaCy asks."""
    pairs = [[each.text, {"entities": [[s.start, s.end, s.type] for s in each.spans]}] for each in records]
    write_atomically(output.path, json_array_of(pairs))


def is_spacy(value: Any) -> bool:
    """Tell whether a value is a pair, a document, or an object that holds pairs."""
    match value:
        case [str(), {"entities": _}] | {"text": str(), "ents": _} | {"paragraphs": _}:
            return True
        case {"annotations": [first, *_]} | {"data": [first, *_]}:
            return first is None or (isinstance(first, list) and is_spacy(first))
        case _:
            return False


def _pairs(reading: Reading, source: Source) -> Iterator[tuple[int, Any]]:
    for line, value in json_values(reading, source.text):
        if isinstance(value, dict) and isinstance(
            held := next((value[k] for k in TEXT_KEYS if k in value), None), list
        ):
            yield from ((line, pair) for pair in held)
        else:
            yield line, value


def _spans(entities: list[Any]) -> tuple[list[Labelled], list[str]]:
    spans: list[Labelled] = []
    reasons = []
    for entity in entities:
        match entity:
            case [int(start), int(end), str(kind), *_] | {"start": int(start), "end": int(end), "label": str(kind)}:
                spans.append((GoldSpan(start, end, kind), None))
            case _:
                reasons.append(f"{entity!r} is not [start, end, type]")
    return spans, reasons
