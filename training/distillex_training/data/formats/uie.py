"""PaddleNLP's UIE: ``{"content": …, "result_list": [{"text", "start", "end"}], "prompt": TYPE}``, a line a type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.json_records import json_objects
from distillex_training.data.formats.reading import Labelled, Reading, Source
from distillex_training.data.formats.writing import Output, json_lines_of
from distillex_training.data.records import GoldSpan, Record
from distillex_training.errors import DataError

OF = "的"


@dataclass
class _Text:
    """What the lines of one text say."""

    line: int
    prompts: set[str] = field(default_factory=set)
    spans: list[Labelled] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def read_uie(source: Source) -> Reading:
    """Read a file; the lines of one text are one record, wherever they stand, and a prompt is a type.

    A text that has a prompt once more begins a record of its own. Prompts for relations ("张伟的单位": of an entity in
    the text) and for the sense of a text ("情感倾向[正向，负向]") are passed over, and noted.
    """
    reading = Reading(source.path, source.options)
    texts: list[tuple[str, _Text]] = []
    latest: dict[str, _Text] = {}
    relations = 0
    for line, record in json_objects(reading, source.text):
        content, results, prompt = (record.get(key) for key in ("content", "result_list", "prompt"))
        if not isinstance(content, str) or not isinstance(prompt, str) or not isinstance(results, list):
            reading.refuse(line, 'expected a string "content", a string "prompt" and a list "result_list"')
            continue
        if is_no_type(prompt, content):
            relations += 1
            continue
        text = latest.get(content)
        if text is None or prompt in text.prompts:
            text = latest[content] = _Text(line)
            texts.append((content, text))
        text.prompts.add(prompt)
        spans, reasons = _spans(results, prompt)
        text.spans += spans
        text.reasons += reasons
    for content, text in texts:
        reading.add(text.line, content, text.spans, text.reasons)
    if relations:
        reading.notes.append(f"{source.path}: {relations} lines passed over whose prompt is no type of entities")
    return reading.finish()


def write_uie(records: Sequence[Record], output: Output) -> None:
    """Write a line for each text and each type of the file, with an empty ``result_list`` where it has none of it.

    Raises
    ------
    DataError
        Where nothing is labelled.
    """
    types = sorted({span.type for record in records for span in record.spans})
    if not types:
        raise DataError(f"{output.path}: a file of UIE has a line for each type, and there is no entity of any")
    lines = []
    for record in records:
        for kind in types:
            results = [
                {"text": record.text[s.start : s.end], "start": s.start, "end": s.end}
                for s in record.spans
                if s.type == kind
            ]
            lines.append({"content": record.text, "result_list": results, "prompt": kind})
    write_atomically(output.path, json_lines_of(lines))


def is_no_type(prompt: str, content: str) -> bool:
    """Tell whether a prompt asks of a text for something else than the entities of a type."""
    subject, of, _ = prompt.rpartition(OF)
    return (bool(of) and bool(subject) and subject in content) or (prompt.endswith("]") and "[" in prompt)


def _spans(results: list[Any], prompt: str) -> tuple[list[Labelled], list[str]]:
    spans: list[Labelled] = []
    reasons = []
    for result in results:
        match result:
            case {"start": int(start), "end": int(end)}:
                surface = result.get("text")
                spans.append((GoldSpan(start, end, prompt), surface if isinstance(surface, str) else None))
            case _:
                reasons.append(f"prompt {prompt!r}: {result!r} has no start and end (whole numbers)")
    return spans, reasons
