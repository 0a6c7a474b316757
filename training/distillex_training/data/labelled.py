"""Labelled sentences for training: ``{"text": …, "entities": [{"start": …, "end": …, "type": …}]}``, one a line.

An entity may have ``"also"``, further types any of which is right; a sentence ``"open"``, stretches that may hold
entities of some types (``{"start": …, "end": …, "types": […]}``), and ``"weight"``, of its loss.
"""

from __future__ import annotations

import dataclasses
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distillex_client.sentences import period_ends
from distillex_client.suggestions import nearest

from distillex_training.data.declaration import Declaration
from distillex_training.data.records import GoldSpan, OpenSpan, Record, RecordFile, read_records
from distillex_training.errors import DataError

UNLIMITED = 1 << 40
"""A longest text, in code points, that leaves none out."""

__all__ = [
    "DataError",
    "GoldSpan",
    "LabelledFile",
    "OpenSpan",
    "ReadReport",
    "Sentence",
    "entity_types_of",
    "read_labelled",
    "read_splits",
]

SENTENCE_END = re.compile(r"[。！？；!?;\n]+[”’」』）)]*")
"""A period of Latin text ends a sentence too (:func:`~distillex_client.sentences.period_ends`)."""


@dataclass(frozen=True)
class Sentence:
    """A text of at most the model's length with its non-overlapping gold spans."""

    text: str
    spans: tuple[GoldSpan, ...]
    open: tuple[OpenSpan, ...] = ()
    """Stretches that may hold entities of some types where no span is."""
    weight: float = 1.0
    """Of its loss in training."""
    domain: str = ""
    """What kind of text it is."""

    @property
    def is_partial(self) -> bool:
        """Tell whether more than one label sequence is allowed."""
        return bool(self.open) or any(span.also for span in self.spans)


@dataclass(frozen=True)
class LabelledFile:
    """A file of labelled sentences, and what its types mean."""

    path: Path
    declaration: Declaration | None = None
    """None: its types are the model's, and all of them are labelled."""

    def records(self, entity_types: tuple[str, ...] = ()) -> RecordFile:
        """Read the records in terms of the model's types; others than ``entity_types``, if given, are problems."""
        if self.declaration is None:
            return read_records(self.path, entity_types or None)
        return self.declaration.apply(read_records(self.path), entity_types)


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


def unknown_label(path: Path, records: Sequence[Record], known: Sequence[str], source: str) -> str | None:
    """Return what to say of the first label that is not known, None where all are.

    Parameters
    ----------
    path, records
        A file whose labels are the model's own, and what is in it.
    known
        The accepted labels.
    source
        What has them, and the verb: ``"the model has"``.
    """
    named = {kind for record in records for span in record.spans for kind in span.types}
    for name in sorted(named - set(known)):
        count = sum(any(name in span.types for span in record.spans) for record in records)
        meant = nearest(name, known)
        suggestion = f"did you mean {meant!r}? " if meant else ""
        declared = f"`types: {{{name}: {meant or 'none'}}}`"
        return (
            f"{path}: the label {name!r} ({count:,} of {len(records):,} sentences) is unknown; {suggestion}"
            f"{source} {', '.join(known)} (a declaration says what other labels mean: {declared})"
        )
    return None


def read_labelled(
    path: Path,
    *,
    entity_types: Sequence[str] | None = None,
    declaration: Declaration | None = None,
    max_length: int = 510,
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
    declaration
        What the file's types mean; without one they are the model's own.
    max_length
        Longest text in code points.

    Raises
    ------
    DataError
        For lines that are no such object, an empty text, a span outside its text, an unknown type: one error names all
        of them.
    """
    file = LabelledFile(path, declaration).records(tuple(entity_types or ()))
    sentences, report = cut_to_length(path, file.records, file.blank_lines, max_length)
    if file.problems:
        raise DataError.of(file.problems, report.lines()[1:])
    if not sentences:
        raise DataError(f"{path}: no sentence in it")
    return sentences, report


def read_splits(
    train: Sequence[LabelledFile],
    dev: Sequence[LabelledFile],
    entity_types: tuple[str, ...] = (),
    *,
    max_length: int = 510,
) -> tuple[list[list[Sentence]], list[list[Sentence]], tuple[ReadReport, ...]]:
    """Read training and development files as :func:`read_labelled` does.

    ``entity_types``: the model's; by default those of the training files.

    Returns
    -------
    tuple
        The sentences of each training file, of each development file, and a report for each.

    Raises
    ------
    DataError
        One error that names every problem of all files; for a file without a sentence, or without an entity.
    """
    train_files = [file.records(entity_types) for file in train]
    known = entity_types or tuple(sorted(set().union(*(file.types for file in train_files))))
    unlabelled = not known and not any(file.problems for file in train_files)
    dev_files = [file.records(known) for file in dev]
    files = [*train_files, *dev_files]
    read = [cut_to_length(file.path, file.records, file.blank_lines, max_length) for file in files]
    reports = tuple(report for _, report in read)
    # Without a label in training every type of the other files would be unknown.
    problems = [problem for file in (train_files if unlabelled else files) for problem in file.problems]
    if problems:
        raise DataError.of(problems, [line for report in reports for line in report.lines()[1:]])
    for file, (sentences, _) in zip(files, read, strict=True):
        if not sentences:
            raise DataError(f"{file.path}: no sentence in it")
        if not any(sentence.spans for sentence in sentences):
            raise DataError(f"{file.path}: no entity is labelled in it: training would teach that there are none")
    parts = [sentences for sentences, _ in read]
    return parts[: len(train)], parts[len(train) :], reports


def sentence_ends(text: str) -> list[int]:
    """Return where sentences end that are taught one by one: in order, also after a semicolon and a line end."""
    return sorted({*(match.end() for match in SENTENCE_END.finditer(text)), *period_ends(text)})


def entity_types_of(sentences: Iterable[Sentence]) -> tuple[str, ...]:
    """All entity types, sorted."""
    return tuple(sorted({kind for sentence in sentences for span in sentence.spans for kind in span.types}))


def cut_to_length(
    path: Path, records: Iterable[Record], blank_lines: int, max_length: int
) -> tuple[list[Sentence], ReadReport]:
    """Return the sentences of a file's records as :func:`read_labelled` does, which are no longer than a limit."""
    report = ReadReport(path, blank_lines=blank_lines)
    sentences: list[Sentence] = []
    for record in records:
        kept = _without_overlaps(record.spans, record.where, report)
        pieces = list(_split(record, kept, max_length, report))
        if len(pieces) > 1:
            report.long_sentences.append(
                f"{record.where}: {len(record.text)} characters, over the limit of {max_length}: "
                f"split into {len(pieces)} sentences"
            )
        sentences += pieces
    report.sentences = len(sentences)
    return sentences, report


def disjoint_records(path: Path, records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    """Return records without overlapping spans, the longer one kept, and a line for each that was left out."""
    report = ReadReport(path)
    kept = [
        dataclasses.replace(record, spans=tuple(_without_overlaps(record.spans, record.where, report)))
        for record in records
    ]
    return kept, report.lines()[1:]


def _without_overlaps(spans: Sequence[GoldSpan], where: str, report: ReadReport) -> list[GoldSpan]:
    kept: list[GoldSpan] = []
    times = Counter(spans)
    report.repeated_spans += [
        f"{where}: [{span.start}, {span.end}) {span.type}" for span in sorted(times) if times[span] > 1
    ]
    for span in sorted(times, key=lambda s: (s.start - s.end, s.start, s.type)):
        place = bisect_left(kept, span.start, key=_start_of)
        # Those that are kept are in order and apart: only its neighbours can overlap it.
        if any(span.start < other.end and other.start < span.end for other in kept[max(0, place - 1) : place + 1]):
            report.overlapping_spans.append(f"{where}: [{span.start}, {span.end}) {span.type}")
        else:
            kept.insert(place, span)
    return kept


def _split(record: Record, spans: list[GoldSpan], max_length: int, report: ReadReport) -> Iterable[Sentence]:
    text, begin = record.text, 0
    while len(text) - begin > max_length:
        limit = begin + max_length
        cut = begin + max(sentence_ends(text[begin:limit]), default=max_length)
        crossing = _crossing(spans, cut)
        if crossing is not None and crossing.start > begin:
            cut = crossing.start
        yield _piece(record, spans, begin, cut)
        crossing = _crossing(spans, cut)
        if crossing is not None and crossing.start >= begin:
            report.cut_spans.append(f"{record.where}: [{crossing.start}, {crossing.end}) {crossing.type}")
        begin = cut
    yield _piece(record, spans, begin, len(text))


def _start_of(span: GoldSpan) -> int:
    return span.start


def _crossing(spans: Sequence[GoldSpan], cut: int) -> GoldSpan | None:
    """Return the one span, of some that are in order and apart, that begins before a cut and ends after it."""
    before = bisect_left(spans, cut, key=_start_of) - 1
    return spans[before] if before >= 0 and spans[before].end > cut else None


def _piece(record: Record, spans: list[GoldSpan], begin: int, end: int) -> Sentence:
    inside = tuple(
        dataclasses.replace(span, start=span.start - begin, end=span.end - begin)
        for span in spans[bisect_left(spans, begin, key=_start_of) : bisect_left(spans, end, key=_start_of)]
        if span.end <= end
    )
    stretches = tuple(
        dataclasses.replace(each, start=max(each.start, begin) - begin, end=min(each.end, end) - begin)
        for each in record.open
        if each.start < end and begin < each.end
    )
    return Sentence(record.text[begin:end], inside, stretches, record.weight, record.domain)
