"""doccano's JSON or JSON Lines: ``"label"`` or ``"labels": [[START, END, TYPE], …]``, or entities and relations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.json_records import json_objects
from distillex_training.data.formats.reading import Labelled, Reading, Source
from distillex_training.data.formats.writing import Output, json_lines_of
from distillex_training.data.records import GoldSpan, Record

LABEL_KEYS = ("label", "labels", "entities", "annotations")


def read_doccano(source: Source) -> Reading:
    """Read a file; END is exclusive, and the file gives no surface to check a span against."""
    reading = Reading(source.path, source.options)
    relations = 0
    for line, record in json_objects(reading, source.text):
        text = record.get("text", record.get("data"))
        given = [record[key] for key in LABEL_KEYS if key in record]
        labels = next((each for each in given if each), given[0] if given else None)
        if not isinstance(text, str):
            reading.refuse(line, 'no string "text" (or "data")')
        elif not isinstance(labels, list):
            reading.refuse(line, 'no list "label", "labels" or "entities": this text is not labelled')
        else:
            spans, reasons = _spans(labels)
            reading.add(line, text, spans, reasons)
        found = record.get("relations")
        relations += len(found) if isinstance(found, list) else 0
    if relations:
        reading.notes.append(f"{source.path}: {relations} relations passed over: only entities are read")
    return reading.finish()


def write_doccano(records: Sequence[Record], output: Output) -> None:
    """Write ``{"text": …, "label": [[start, end, type], …]}``, and a model's confidence beside it."""
    lines: list[dict[str, Any]] = []
    for number, record in enumerate(records):
        line: dict[str, Any] = {"text": record.text, "label": [[s.start, s.end, s.type] for s in record.spans]}
        if output.confidences:
            line["confidence"] = output.confidence(number)
        lines.append(line)
    write_atomically(output.path, json_lines_of(lines))


def is_place(value: object) -> bool:
    """Tell whether a value is ``[start, end, type]``, or an object of the form with relations."""
    match value:
        case [int() | str(), int() | str(), str()] | {"start_offset": _, "end_offset": _}:
            return True
        case _:
            return False


def _spans(labels: list[Any]) -> tuple[list[Labelled], list[str]]:
    spans: list[Labelled] = []
    reasons = []
    for label in labels:
        match label:
            case [int(start), int(end), str(kind)] | {
                "start_offset": int(start),
                "end_offset": int(end),
                "label": str(kind),
            }:
                spans.append((GoldSpan(start, end, kind), None))
            case {"start_offset": int(start), "end_offset": int(end), "label": int(number)}:
                reasons.append(
                    f"the span [{start}, {end}) has the label number {number}, which names no type: export it with the "
                    "labels' names"
                )
            case str():
                reasons.append(f"{label!r} is a label of the whole text: expected [start, end, type]")
            case _:
                reasons.append(
                    f"{label!r} is neither [start, end, type] nor an object with start_offset, end_offset, label"
                )
    return spans, reasons
