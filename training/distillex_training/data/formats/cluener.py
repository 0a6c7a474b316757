"""CLUENER's JSON Lines: ``{"text": …, "label": {TYPE: {SURFACE: [[START, END], …]}}}``; END is inclusive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distillex_training.data.formats.json_records import json_lines
from distillex_training.data.formats.reading import Reading
from distillex_training.data.records import GoldSpan


def read_cluener(path: Path, content: str) -> Reading:
    """Read a file; each span is checked against the surface that it is filed under."""
    reading = Reading(path)
    for line, record in json_lines(reading, content):
        text, label = record.get("text"), record.get("label")
        if not isinstance(text, str):
            reading.refuse(line, 'no string "text"')
        elif not isinstance(label, dict):
            reading.refuse(line, 'no object "label": this text is not labelled (a text without entities has {})')
        else:
            spans, reasons = _spans(label)
            reading.add(line, text, spans, reasons)
    return reading


def _spans(label: dict[str, Any]) -> tuple[list[tuple[GoldSpan, str | None]], list[str]]:
    spans: list[tuple[GoldSpan, str | None]] = []
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
