"""Check a file of ``distillation.labels`` before a run learns from it: its types, its scores, the raw text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from distillex_training.data.alignment import CONTESTED, NOWHERE, SEVERAL_TIMES, WITHIN_LONGER, AlignmentReport
from distillex_training.data.findings import Finding, Kind
from distillex_training.data.labelled import UNLIMITED
from distillex_training.data.raw import read_raw
from distillex_training.data.records import GoldSpan, RecordFile

KINDS = {
    NOWHERE: Kind.NOT_FOUND,
    WITHIN_LONGER: Kind.WITHIN_LONGER,
    SEVERAL_TIMES: Kind.SEVERAL_TIMES,
    CONTESTED: Kind.CONTESTED,
}


def of_alignment(report: AlignmentReport) -> Iterator[Finding]:
    """Yield what aligning the entities of a file found."""
    for what, kind in KINDS.items():
        for where, message in report.found.get(what, ()):
            yield Finding(kind, where, message)


def of_types(file: RecordFile, entity_types: Sequence[str]) -> Iterator[Finding]:
    """Yield the types of a file that the model lacks, and those of the model that it does not label."""
    counted: dict[str, list[str]] = defaultdict(list)
    for record in file.records:
        for span in record.spans:
            for kind in span.types:
                counted[kind].append(record.where)
    if not file.types & set(entity_types):
        named = ", ".join(sorted(file.types)) or "nothing"
        message = f"labels {named}; the model has {', '.join(entity_types)}"
        yield Finding(Kind.NO_TYPE_IN_COMMON, str(file.path), message)
    for kind in sorted(file.types - set(entity_types)):
        where = counted[kind][0] if counted[kind] else str(file.path)
        message = f"{kind!r}, {len(counted[kind]):,} times; the model has {', '.join(entity_types)}"
        yield Finding(Kind.FOREIGN_TYPE, where, message)
    for kind in entity_types:
        if kind not in file.types:
            yield Finding(Kind.NOT_LABELLED, str(file.path), repr(kind))


def label_lines(file: RecordFile, raw: Sequence[Path] = ()) -> list[str]:
    """Return what a file of labels holds: a line a type with its scores, and how much of the raw text it covers.

    Raises
    ------
    DataError
        For raw text that cannot be read.
    """
    spans: dict[str, list[tuple[GoldSpan, str]]] = defaultdict(list)
    for record in file.records:
        for span in record.spans:
            spans[span.type].append((span, record.text[span.start : span.end]))
    empty = sum(not record.spans for record in file.records)
    lines = [f"{file.path}: {len(file.records):,} sentences, {empty:,} of them without an entity"]
    for kind, found in sorted(spans.items()):
        scores = [span.score for span, _ in found]
        surfaces = len({surface for _, surface in found})
        lines.append(
            f"  {kind}: {len(found):,} entities, {surfaces:,} different, "
            f"scores {min(scores):.2f} to {max(scores):.2f}, mean {sum(scores) / len(scores):.2f}"
        )
    if raw:
        texts, _ = read_raw(raw, max_length=UNLIMITED)
        labelled = {record.text.strip() for record in file.records}
        covered = len(labelled & set(texts))
        lines.append(
            f"  {covered:,} of {len(texts):,} raw sentences are labelled; "
            f"{len(labelled) - covered:,} labelled ones are not among them"
        )
    return lines
