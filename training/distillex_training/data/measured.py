"""Labelled sentences to measure a model on, in terms of the types that it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distillex_training.data.declaration import read_declaration, read_for_measuring
from distillex_training.data.labelled import ReadReport, Sentence, cut_to_length, unknown_label
from distillex_training.data.records import Record, RecordFile, read_records
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


@dataclass(frozen=True)
class GoldFile:
    """A labelled file in terms of a model's types, whose texts may be longer than the model reads."""

    file: RecordFile
    left_out: Counter[str] = field(default_factory=Counter)
    groups: tuple[tuple[str, ...], ...] = ()
    trim: str = ""

    def within(self, max_length: int) -> MeasuredFile:
        """Return it with sentences of so many code points at most.

        Raises
        ------
        DataError
            For a file of which the limit leaves no entity.
        """
        file = self.file
        sentences, report = cut_to_length(file.path, file.records, file.blank_lines, max_length)
        _check_some(file.path, sentences)
        return MeasuredFile(sentences, report, self.left_out, self.groups, self.trim)


def read_gold(path: Path, declaration: Path | None, entity_types: Sequence[str], *, others: bool = False) -> GoldFile:
    """Read a labelled file to measure a model on, once, before the model is there.

    Parameters
    ----------
    path
        Labelled JSON Lines.
    declaration
        What its types mean; the model need not have all that it names. Without one they are the model's own.
    entity_types
        The model's.
    others
        Take types that the model does not have for types that it could have found; else they are refused.

    Raises
    ------
    DataError
        For lines that are no labelled text, and for a wrong declaration; for a file without a sentence, or in which
        nothing is labelled that the model could find; for a label that the model does not have.
    """
    if declaration is None:
        gold = GoldFile(_checked(read_records(path)))
        said = None if others else unknown_label(path, gold.file.records, tuple(entity_types), "the model has")
        if said:
            raise DataError(said)
    else:
        if others:
            entity_types = sorted({*entity_types, *read_declaration(declaration).model_types})
        declared = read_for_measuring(declaration, entity_types)
        known = declared.for_model(entity_types)
        read = _checked(read_records(path))
        file = _checked(known.apply(read, tuple(entity_types)))
        left_out = Counter(
            span.type for record in read.records for span in record.spans if declared.of(span) and not known.of(span)
        )
        gold = GoldFile(file, left_out, tuple(known.groups()), known.trim)
    _check_some(path, gold.file.records)
    return gold


def _check_some(path: Path, texts: Iterable[Record | Sentence]) -> None:
    if not any(each.spans for each in texts):
        raise DataError(f"{path}: no entity is labelled in it: there is nothing to measure")


def _checked(file: RecordFile) -> RecordFile:
    if file.problems:
        raise DataError.of(file.problems)
    if not file.records:
        raise DataError(f"{file.path}: no sentence in it")
    return file


def read_measured(
    path: Path, declaration: Path | None, entity_types: Sequence[str], *, max_length: int = 510
) -> MeasuredFile:
    """Read a labelled file, as :func:`read_gold` does, with sentences of ``max_length`` code points at most."""
    return read_gold(path, declaration, entity_types).within(max_length)
