"""Labelled sentences for training: ``{"text": …, "entities": [{"start": …, "end": …, "type": …}]}``, one a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distillex_training.data.records import DataError, GoldSpan, Problem, Record, read_records

__all__ = ["DataError", "GoldSpan", "ReadReport", "Sentence", "entity_types_of", "read_labelled", "read_splits"]

SENTENCE_END = re.compile(r"[。！？；!?;\n]+[”’」』）)]*")


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
    blank_lines: int = 0
    long_sentences: list[str] = field(default_factory=list)
    """Sentences over the length limit, cut into several: file:line and what was done."""
    repeated_spans: list[str] = field(default_factory=list)
    """Spans that a sentence names more than once: file:line and span."""
    overlapping_spans: list[str] = field(default_factory=list)
    """Spans left out because a longer (or, at equal length, earlier) span covers part of them: file:line and span."""
    cut_spans: list[str] = field(default_factory=list)
    """Spans left out because a sentence over the limit had to be cut inside them: file:line and span."""

    @property
    def split_sentences(self) -> int:
        """How many sentences were cut into several."""
        return len(self.long_sentences)

    def lines(self) -> list[str]:
        """One line a fact, for the log."""
        lines = [f"{self.path}: {self.sentences} sentences"]
        if self.blank_lines:
            lines.append(f"{self.path}: {self.blank_lines} blank lines between the records")
        if self.long_sentences:
            lines.append(f"{self.path}: {self.split_sentences} sentences over the length limit were split")
        lines += self.long_sentences
        lines += [f"{where}: counted once: the span is named more than once" for where in self.repeated_spans]
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
        For lines that are no such object, an empty text, a span outside its text, an unknown type: one error names all
        of them.
    """
    file = read_records(path, entity_types)
    sentences, report = _sentences(path, file.records, file.blank_lines, max_length)
    if file.problems:
        raise DataError.of(file.problems, report.lines()[1:])
    if not sentences:
        raise DataError(f"{path}: no sentence in it")
    return sentences, report


def read_splits(
    train: Path, dev: Path, *, max_length: int = 510
) -> tuple[list[Sentence], list[Sentence], tuple[ReadReport, ReadReport]]:
    """Read a training and a development file as :func:`read_labelled` does; known types are those of the training file.

    Raises
    ------
    DataError
        One error that names every problem of both files; for a file without a sentence, or without an entity.
    """
    train_file = read_records(train)
    dev_file = read_records(dev, sorted(train_file.types))
    train_sentences, train_report = _sentences(train, train_file.records, train_file.blank_lines, max_length)
    dev_sentences, dev_report = _sentences(dev, dev_file.records, dev_file.blank_lines, max_length)
    unlabelled = not train_file.types and not train_file.problems  # then every type of the other file would be unknown
    problems: list[Problem] = [*train_file.problems, *(() if unlabelled else dev_file.problems)]
    if problems:
        raise DataError.of(problems, train_report.lines()[1:] + dev_report.lines()[1:])
    for path, sentences in ((train, train_sentences), (dev, dev_sentences)):
        if not sentences:
            raise DataError(f"{path}: no sentence in it")
        if not any(sentence.spans for sentence in sentences):
            raise DataError(f"{path}: no entity is labelled in it: training would teach that there are none")
    return train_sentences, dev_sentences, (train_report, dev_report)


def entity_types_of(sentences: Iterable[Sentence]) -> tuple[str, ...]:
    """All entity types, sorted."""
    return tuple(sorted({span.type for sentence in sentences for span in sentence.spans}))


def _sentences(
    path: Path, records: Iterable[Record], blank_lines: int, max_length: int
) -> tuple[list[Sentence], ReadReport]:
    report = ReadReport(path, blank_lines=blank_lines)
    sentences: list[Sentence] = []
    for record in records:
        kept = _without_overlaps(record.spans, record.where, report)
        pieces = list(_split(record.text, kept, max_length, record.where, report))
        if len(pieces) > 1:
            report.long_sentences.append(
                f"{record.where}: {len(record.text)} characters, over the limit of {max_length}: "
                f"split into {len(pieces)} sentences"
            )
        sentences += pieces
    report.sentences = len(sentences)
    return sentences, report


def _without_overlaps(spans: Sequence[GoldSpan], where: str, report: ReadReport) -> list[GoldSpan]:
    kept: list[GoldSpan] = []
    report.repeated_spans += [
        f"{where}: [{span.start}, {span.end}) {span.type}" for span in sorted(set(spans)) if spans.count(span) > 1
    ]
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
            f"{where}: [{span.start}, {span.end}) {span.type}" for span in spans if begin <= span.start < cut < span.end
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
