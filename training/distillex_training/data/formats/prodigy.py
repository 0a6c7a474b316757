"""Prodigy's JSON Lines: ``{"text": …, "spans": [{"start", "end", "label"}], "answer": "accept"}``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.json_records import json_objects
from distillex_training.data.formats.reading import Labelled, Reading, Source
from distillex_training.data.formats.writing import Output, json_lines_of
from distillex_training.data.records import GoldSpan, Record

ACCEPTED = "accept"


def read_prodigy(source: Source) -> Reading:
    """Read a file; examples whose answer is "reject" or "ignore" are passed over, and noted.

    An accepted example without ``spans`` has no entities; one without an answer needs them.
    """
    reading = Reading(source.path, source.options)
    unused: Counter[str] = Counter()
    for line, record in json_objects(reading, source.text):
        text, answer = record.get("text"), record.get("answer", ACCEPTED)
        labels = record.get("spans", [] if "answer" in record else None)
        if answer != ACCEPTED:
            unused[str(answer)] += 1
        elif not isinstance(text, str):
            reading.refuse(line, 'no string "text"')
        elif not isinstance(labels, list):
            reading.refuse(line, 'no list "spans": this text is not labelled')
        else:
            spans, reasons = _spans(labels)
            reading.add(line, text, spans, reasons)
    for answer, count in unused.items():
        reading.notes.append(f"{source.path}: {count} examples with the answer {answer!r} passed over")
    return reading.finish()


def write_prodigy(records: Sequence[Record], output: Output) -> None:
    """Write examples for ``prodigy mark`` and ``ner.manual``: a token is a character, so that every span fits."""
    lines = []
    for number, record in enumerate(records):
        tokens = [
            {"text": character, "start": i, "end": i + 1, "id": i, "ws": False}
            for i, character in enumerate(record.text)
        ]
        spans = [
            {"start": s.start, "end": s.end, "label": s.type, "token_start": s.start, "token_end": s.end - 1}
            for s in record.spans
        ]
        line: dict[str, Any] = {"text": record.text, "tokens": tokens, "spans": spans}
        if output.model:
            line["meta"] = {"model": output.model}
            if output.confidences:
                line["meta"]["confidence"] = output.confidence(number)
        lines.append(line)
    write_atomically(output.path, json_lines_of(lines))


def _spans(labels: list[Any]) -> tuple[list[Labelled], list[str]]:
    spans: list[Labelled] = []
    reasons = []
    for label in labels:
        match label:
            case {"start": int(start), "end": int(end), "label": str(kind)}:
                surface = label.get("text")
                spans.append((GoldSpan(start, end, kind), surface if isinstance(surface, str) else None))
            case _:
                reasons.append(f"{label!r} is not a span with start, end (whole numbers) and label (a name)")
    return spans, reasons
