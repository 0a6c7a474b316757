"""Labelled sentences to measure a model on, in terms of the types that it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distillex_training.data.declaration import read_for_measuring
from distillex_training.data.labelled import ReadReport, Sentence, read_labelled
from distillex_training.data.records import read_records
from distillex_training.errors import DataError


@dataclass(frozen=True)
class MeasuredFile:
    """A labelled file as a model can be measured on it."""

    sentences: list[Sentence]
    report: ReadReport
    """What reading it changed."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Gold spans of which the model has no type, by the corpus's type."""
    groups: tuple[tuple[str, ...], ...] = ()
    """The model's types, those together that the corpus does not tell apart; none without a declaration."""
    trim: str = ""
    """Characters that its spans do not begin or end with; the model's are trimmed alike."""

    def lines(self) -> list[str]:
        """One line a fact, for the reader of the figures."""
        lines = self.report.lines()
        if self.left_out:
            counted = ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.left_out.items()))
            total = sum(self.left_out.values())
            lines.append(
                f"{self.report.path}: {total:,} gold spans left out: the model has no type of theirs ({counted})"
            )
        return lines


def read_measured(
    path: Path, declaration: Path | None, entity_types: Sequence[str], *, max_length: int = 510
) -> MeasuredFile:
    """Read a labelled file to measure a model on.

    Parameters
    ----------
    path
        Labelled JSON Lines.
    declaration
        What its types mean; the model need not have all that it names. Without one they are the model's own, and
        others are refused.
    entity_types
        The model's.
    max_length
        Longest sentence in code points.

    Raises
    ------
    DataError
        As :func:`~distillex_training.data.labelled.read_labelled`; for a file in which nothing is labelled that the
        model could find.
    """
    if declaration is None:
        sentences, report = read_labelled(path, entity_types=entity_types, max_length=max_length)
        measured = MeasuredFile(sentences, report)
    else:
        declared = read_for_measuring(declaration, entity_types)
        known = declared.for_model(entity_types)
        sentences, report = read_labelled(path, entity_types=entity_types, declaration=known, max_length=max_length)
        left_out = Counter(
            span.type
            for record in read_records(path).records
            for span in record.spans
            if declared.of(span) and not known.of(span)
        )
        measured = MeasuredFile(sentences, report, left_out, tuple(known.groups()), known.trim)
    if not any(sentence.spans for sentence in sentences):
        raise DataError(f"{path}: no entity is labelled in it: there is nothing to measure")
    return measured
