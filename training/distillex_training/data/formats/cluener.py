"""CLUENER's JSON Lines: ``{"text": …, "label": {TYPE: {SURFACE: [[START, END], …]}}}``; END is inclusive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.json_records import json_objects
from distillex_training.data.formats.reading import Labelled, Reading, Source
from distillex_training.data.formats.writing import Output, json_lines_of
from distillex_training.data.records import GoldSpan, Record


def read_cluener(source: Source) -> Reading:
    """Read a file; each span is checked against the surface that it is filed under."""
    reading = Reading(source.path, source.options)
    for line, record in json_objects(reading, source.text):
        text, label = record.get("text"), record.get("label")
        if not isinstance(text, str):
            reading.refuse(line, 'no string "text"')
        elif not isinstance(label, dict):
            reading.refuse(line, 'no object "label": this text is not labelled (a text without entities has {})')
        else:
            spans, reasons = _spans(label)
            reading.add(line, text, spans, reasons)
    return reading.finish()


def write_cluener(records: Sequence[Record], output: Output) -> None:
    """Write each entity under its type and surface."""
    write_atomically(output.path, json_lines_of({"text": each.text, "label": _label(each)} for each in records))


def _label(record: Record) -> dict[str, dict[str, list[list[int]]]]:
    label: dict[str, dict[str, list[list[int]]]] = {}
    for span in record.spans:
        places = label.setdefault(span.type, {}).setdefault(record.text[span.start : span.end], [])
        places.append([span.start, span.end - 1])
    return label


def _spans(label: dict[str, Any]) -> tuple[list[Labelled], list[str]]:
    spans: list[Labelled] = []
    reasons = []
    for kind, surfaces in label.items():
        if not isinstance(surfaces, dict):
            reasons.append(f"label {kind!r}: expected an object from surface to [[start, end], …], found {surfaces!r}")
            continue
        for surface, places in surfaces.items():
            for place in places if isinstance(places, list) else [places]:
                match place:
                    case [int(start), int(end)]:
                        spans.append((GoldSpan(start, end + 1, kind), surface))
                    case _:
                        reasons.append(f"label {kind!r}, {surface!r}: {place!r} is not [start, end]")
    return spans, reasons
