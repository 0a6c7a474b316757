"""The labelled files of a run: what training learns and is measured on, and the entity types that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distillex_training.config import Corpus, DataConfig, LabelSource
from distillex_training.data.declaration import read_declaration
from distillex_training.data.label_sources import SourceFile
from distillex_training.data.labelled import LabelledFile, Sentence, entity_types_of, read_splits


@dataclass(frozen=True)
class RunSentences:
    """The sentences of a run's files, file by file."""

    entity_types: tuple[str, ...]
    """The model's, sorted."""
    train: list[list[Sentence]]
    measured: list[list[Sentence]]
    """Of the development files, then of the test files."""
    sourced: list[list[Sentence]]
    """Of ``distillation.labels``."""
    notes: list[str]
    """What reading found, a line each."""


class RunFiles:
    """The labelled files of a run, not read yet.

    Parameters
    ----------
    data
        Names them.
    labels
        Sources of labels beside the training files.
    teacher_types
        The model's types, beside those of ``labels``, where neither ``data`` nor a training file says them.

    Raises
    ------
    DataError
        For a wrong declaration, or a source that cannot be read.
    """

    def __init__(self, data: DataConfig, labels: Sequence[LabelSource] = (), teacher_types: Sequence[str] = ()) -> None:
        self.train = labelled_files(data.train, data.types)
        self.measured = labelled_files((*data.dev, *data.test), data.types)
        self.sources = [SourceFile.of(each) for each in labels]
        told = () if data.train else {*teacher_types, *(kind for each in self.sources for kind in each.told_types())}
        self.types = data.types or tuple(sorted(told))
        """The model's; empty where the training files say them."""

    def read(self) -> RunSentences:
        """Read all of them.

        Raises
        ------
        DataError
            One error that names every problem of training and measuring, or those of the sources.
        """
        train, measured, reports = read_splits(self.train, self.measured, self.types)
        types = tuple(sorted(self.types)) or entity_types_of(sentence for part in train for sentence in part)
        sourced, _, further = read_splits(self.sources, [], types)
        notes = [line for report in (*reports, *further) for line in report.lines()]
        notes += [line for source in self.sources for line in source.notes]
        return RunSentences(types, train, measured, sourced, notes)


def labelled_files(corpora: Sequence[Corpus], entity_types: tuple[str, ...]) -> list[LabelledFile]:
    """Return the files of corpora with what their declarations say of the model's types.

    Raises
    ------
    DataError
        For a wrong declaration.
    """
    return [
        LabelledFile(each.path, None if each.declaration is None else read_declaration(each.declaration, entity_types))
        for each in corpora
    ]
