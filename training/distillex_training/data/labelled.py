"""Labelled sentences: ``{"text": …, "entities": [{"start": …, "end": …, "type": …}]}``, one JSON object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SENTENCE_END = re.compile(r"[。！？；!?;\n]+[”’」』）)]*")


class DataError(ValueError):
    """A labelled file is wrong; the message names file, line, value and what is accepted."""


@dataclass(frozen=True, order=True)
class GoldSpan:
    """One labelled entity; offsets are code points, end-exclusive."""

    start: int
    end: int
    type: str


@dataclass(frozen=True)
class Sentence:
    """A text of at most the model's length with its non-overlapping gold spans."""

    text: str
    spans: tuple[GoldSpan, ...]


@dataclass
class ReadReport:
    """What reading a file changed; nothing is dropped without being counted here."""

    path: Path
    sentences: int = 0
    split_sentences: int = 0
    """Sentences over the length limit, cut into several."""
    overlapping_spans: list[str] = field(default_factory=list)
    """Spans left out because a longer (or, at equal length, earlier) span covers part of them: file:line and span."""
    cut_spans: list[str] = field(default_factory=list)
    """Spans left out because a sentence over the limit had to be cut inside them: file:line and span."""

    def lines(self) -> list[str]:
        """One line a fact, for the log."""
        lines = [f"{self.path}: {self.sentences} sentences"]
        if self.split_sentences:
            lines.append(f"{self.path}: {self.split_sentences} sentences over the length limit were split")
        lines += [f"{where}: left out: a longer or earlier span overlaps it" for where in self.overlapping_spans]
        lines += [f"{where}: left out: the sentence had to be cut inside it" for where in self.cut_spans]
        return lines


def read_labelled(
    path: Path, *, entity_types: Sequence[str] | None = None, max_length: int = 510
) -> tuple[list[Sentence], ReadReport]:
    """Read a labelled JSON Lines file.

    Overlapping gold: the longer span stays, at equal length the earlier one; the others are reported. A sentence over
    ``max_length`` is cut after the last sentence end within the limit, else at the limit (moved before a span that it
    would cut, where that leaves text).

    Parameters
    ----------
    path
        The file.
    entity_types
        Accepted types; None accepts all.
    max_length
        Longest text in code points.

    Raises
    ------
    DataError
        For a line that is not such an object, an empty text, a span outside its text, an unknown type.
    """
    report = ReadReport(path)
    sentences: list[Sentence] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            text, spans = _parse(line, where, entity_types)
            kept = _without_overlaps(spans, where, report)
            pieces = list(_split(text, kept, max_length, where, report))
            report.split_sentences += len(pieces) > 1
            sentences += pieces
    report.sentences = len(sentences)
    if not sentences:
        raise DataError(f"{path}: no sentence in it")
    return sentences, report


def entity_types_of(sentences: Iterable[Sentence]) -> tuple[str, ...]:
    """All entity types, sorted."""
    return tuple(sorted({span.type for sentence in sentences for span in sentence.spans}))


def _parse(line: str, where: str, entity_types: Sequence[str] | None) -> tuple[str, list[GoldSpan]]:
    try:
        record: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error}") from None
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise DataError(f'{where}: expected an object with a string "text"')
    text = record["text"]
    if not text.strip():
        raise DataError(f"{where}: the text is empty")
    entities = record.get("entities", [])
    if not isinstance(entities, list):
        raise DataError(f'{where}: "entities" must be a list')
    spans = []
    for entity in entities:
        try:
            span = GoldSpan(int(entity["start"]), int(entity["end"]), str(entity["type"]))
        except (TypeError, KeyError, ValueError):
            raise DataError(f"{where}: {entity!r} is not an entity with start, end and type") from None
        if not 0 <= span.start < span.end <= len(text):
            raise DataError(
                f"{where}: the span [{span.start}, {span.end}) does not lie in a text of {len(text)} code points"
            )
        if entity_types is not None and span.type not in entity_types:
            raise DataError(f"{where}: unknown type {span.type!r}; known types: {', '.join(entity_types)}")
        spans.append(span)
    return text, spans


def _without_overlaps(spans: list[GoldSpan], where: str, report: ReadReport) -> list[GoldSpan]:
    kept: list[GoldSpan] = []
    for span in sorted(set(spans), key=lambda s: (s.start - s.end, s.start, s.type)):
        if any(span.start < other.end and other.start < span.end for other in kept):
            report.overlapping_spans.append(f"{where}: [{span.start}, {span.end}) {span.type}")
        else:
            kept.append(span)
    return sorted(kept)


def _split(text: str, spans: list[GoldSpan], max_length: int, where: str, report: ReadReport) -> Iterable[Sentence]:
    begin = 0
    while len(text) - begin > max_length:
        limit = begin + max_length
        ends = [match.end() for match in SENTENCE_END.finditer(text, begin, limit)]
        cut = ends[-1] if ends else limit
        crossing = [span for span in spans if span.start < cut < span.end]
        if crossing and min(span.start for span in crossing) > begin:
            cut = min(span.start for span in crossing)
        yield _piece(text, spans, begin, cut)
        report.cut_spans += [
            f"{where}: [{span.start}, {span.end}) {span.type}" for span in spans if span.start < cut < span.end
        ]
        begin = cut
    yield _piece(text, spans, begin, len(text))


def _piece(text: str, spans: list[GoldSpan], begin: int, end: int) -> Sentence:
    inside = tuple(
        GoldSpan(span.start - begin, span.end - begin, span.type)
        for span in spans
        if begin <= span.start and span.end <= end
    )
    return Sentence(text[begin:end], inside)
