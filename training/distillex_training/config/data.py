"""Settings of a run's data."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any

from distillex.locations import shipped_base_lexicon
from pydantic import model_validator

from distillex_training.config.text import TextConfig
from distillex_training.config.values import (
    Count,
    InputFile,
    NotEmpty,
    OneAlone,
    Seed,
    Share,
    Size,
    Weight,
    settings,
)


@settings(frozen=True)
class Corpus:
    """A labelled file; in a configuration its path alone will do, and one alone for a list of them."""

    path: InputFile
    """Labelled JSON Lines."""
    declaration: InputFile | None = None
    """YAML that says what its types mean (docs/how-to/training.md); without one they are the model's own, and all are
    labelled."""

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


@settings(frozen=True)
class TrainingCorpus(Corpus):
    """A labelled file to train on."""

    weight: Weight = 1.0
    """Weight of its sentences in the loss."""
    per_epoch: Count = 0
    """Number of its sentences drawn for each epoch; if the file has fewer, they repeat. 0: each once."""


@settings(frozen=True)
class LabelSource(TrainingCorpus):
    """Labels of an LLM, a model, rules or people, to learn from (docs/how-to/training.md)."""

    threshold: Share = 0.0
    """Entities with a lower score leave their characters open."""
    types: tuple[str, ...] = ()
    """Types of the model that it labels; without them those that stand in the file. The others stay open."""

    def __post_init__(self) -> None:
        """Check what is right alone but not together.

        Raises
        ------
        ValueError
            Naming the keys.
        """
        if self.types and self.declaration is not None:
            raise ValueError(f"types is {list(self.types)}; with a declaration, which says that, nothing is accepted")


@settings(frozen=True)
class MentionLists:
    """Words that may stand for an entity of a type."""

    type: str
    """The entity type."""
    words: Annotated[tuple[InputFile, ...], NotEmpty, OneAlone()]
    """Word lists, one word a line; a list is drawn, then a word of it."""
    longest: Size = 16
    """Longest word in code points; longer ones are left out."""


@settings(frozen=True)
class DataConfig:
    """Files of a run; relative paths are relative to the configuration file's folder, then to the working folder."""

    train: Annotated[tuple[TrainingCorpus, ...], OneAlone()] = ()
    """Labelled files to train on; may be absent where something else teaches: ``distillation.labels``,
    ``distillation.teacher``."""
    dev: Annotated[tuple[Corpus, ...], OneAlone()] = ()
    """Files that pick the best epoch, by their mean F1. May be missing if ``train`` is: then the last epoch is
    kept.
    """
    lexicon: InputFile = field(default_factory=shipped_base_lexicon)
    """Compiled base lexicon (``distillex lexicon build``); by default the one that comes with distillex."""
    test: Annotated[tuple[Corpus, ...], OneAlone()] = ()
    """Files on which the picked model is measured once, at the end (``test.json``)."""
    types: tuple[str, ...] = ()
    """The model's entity types; without them all that the training files label, and without those the teacher's and
    those of ``distillation.labels``."""
    mentions: tuple[MentionLists, ...] = ()
    """Where entities are exchanged for others of their type, half of those come from these lists."""
    raw: Annotated[tuple[InputFile, ...], OneAlone()] = ()
    """Unlabelled text, one sentence a line, or labelled files (``.jsonl``) of whatever types: for the vocabulary, and
    for the teacher to label."""
    raw_max_length: Size = 80
    """Longest raw sentence in code points; longer ones are left out."""
    raw_limit: Count = 0
    """Number of raw sentences, drawn with ``seed``; 0 uses all."""
    seed: Seed = 1
    """Seed of the choice from raw text; independent of ``loop.seed``, so that runs share the teacher's labels."""
    minimum_count: Size = 2
    """Characters seen less often are not in the vocabulary."""
    text: TextConfig = field(default_factory=TextConfig)
    """What the model counts as a word, a sentence and a letter. A key that is null is as the layout says that the run
    keeps (of a teacher that it learns from, of a student that it starts from), else as is said of a new model."""
