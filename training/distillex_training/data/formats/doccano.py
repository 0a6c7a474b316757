"""doccano's JSON Lines: ``"label"`` or ``"labels": [[START, END, TYPE], …]``, or its entities-and-relations form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distillex_training.data.formats.json_records import json_lines
from distillex_training.data.formats.reading import Reading
from distillex_training.data.records import GoldSpan


def read_doccano(path: Path, content: str) -> Reading:
    """Read a file; END is exclusive, and the file gives no surface to check a span against."""
    reading = Reading(path)
    relations = 0
    for line, record in json_lines(reading, content):
        text = record.get("text", record.get("data"))
        labels = next((record[key] for key in ("label", "labels", "entities") if key in record), None)
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
        reading.notes.append(f"{path}: {relations} relations passed over: only entities are read")
    return reading


def _spans(labels: list[Any]) -> tuple[list[tuple[GoldSpan, str | None]], list[str]]:
    spans: list[tuple[GoldSpan, str | None]] = []
    reasons = []
    for label in labels:
        match label:
            case [int(start), int(end), str(kind)] | {
                "start_offset": int(start),
                "end_offset": int(end),
                "label": str(kind),
            }:
                spans.append((GoldSpan(start, end, kind), None))
            case _:
                reasons.append(
                    f"{label!r} is neither [start, end, type] nor an object with start_offset, end_offset, label"
                )
    return spans, reasons
