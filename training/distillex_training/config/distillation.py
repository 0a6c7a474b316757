"""Settings of distillation."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated

from distillex_client.suggestions import unknown
from pydantic import AfterValidator, Field

from distillex_training.config.data import LabelSource
from distillex_training.config.losses import LOSSES, Needs
from distillex_training.config.values import (
    WITHOUT_EFFECT,
    Count,
    ModelDirectory,
    OneAlone,
    OutputPath,
    Rate,
    Share,
    Size,
    Switch,
    Weight,
    settings,
)


def _known(weights: dict[str, float]) -> dict[str, float]:
    for name in weights:
        if name not in LOSSES:
            raise ValueError(unknown("loss", name, LOSSES))
    return weights


LossWeights = Annotated[
    dict[str, Weight], AfterValidator(_known), Field(json_schema_extra={"propertyNames": {"enum": list(LOSSES)}})
]


@settings(frozen=True)
class MentionReplacement:
    """Further raw sentences for the teacher: labelled and raw ones, entities exchanged for others of their type.

    Dai and Adel, "An Analysis of Simple Data Augmentation for Named Entity Recognition", COLING 2020.
    """

    sentences: Count = 0
    """Number of such sentences."""
    invented: Share = 0.0
    """Share of the exchanged entities that are new: the beginning of one mention and the end of another."""


@settings(frozen=True)
class DistillationConfig:
    """What the student learns from. Without a teacher only gold counts."""

    teacher: ModelDirectory | None = None
    """Model directory of the teacher, which labels ``data.raw``; it may know more or fewer types than the student."""
    labels: Annotated[tuple[LabelSource, ...], OneAlone()] = ()
    """Files of labels to learn from, with a teacher or without one: of an LLM, GLiNER, rules, people."""
    ensemble: tuple[ModelDirectory, ...] = ()
    """Model directories of further teachers, or students, that label together with it: the mean of their emissions and
    of their CRF scores. ``hidden_mse`` and ``start_from_teacher`` are the teacher's alone."""
    cache: OutputPath = field(default=Path("runs/teacher-cache"), metadata=WITHOUT_EFFECT)
    """Where the teacher's predictions are kept, by a hash of teacher, text and lexicon; runs may share it."""
    gold: Weight = 1.0
    """Weight of the gold labels' CRF likelihood."""
    gold_repeats: Count = 1
    """Repetitions of the gold sentences in an epoch; 0 leaves them out."""
    losses: LossWeights = field(default_factory=lambda: {"k_best": 1.0})
    """The losses on raw text and the weight of each; one that is not named is off."""
    paths: Size = 5
    """Number of best sequences for ``k_best``."""
    temperature: Rate = 1.0
    """Temperature of ``token_kl``, ``k_best`` and ``logit_kl``."""
    mention_replacement: MentionReplacement = field(default_factory=MentionReplacement)
    """Further raw sentences, made of labelled and raw ones."""
    start_from_teacher: Switch = False
    """Begin with the teacher's character embeddings, cut to the student's width."""
    minimum_confidence: Share = 0.0
    """Raw sentences whose least certain entity is below this posterior are left out."""

    def __post_init__(self) -> None:
        """Check that what needs a teacher has one.

        Raises
        ------
        ValueError
            Where it has not.
        """
        if self.teacher is None and self.ensemble:
            raise ValueError("ensemble names models, but teacher none")
        if self.teacher is None and self.start_from_teacher:
            raise ValueError("start_from_teacher is true, but teacher names none")
        if self.gold_repeats == 0 and not self.labels and not (self.teacher is not None and self.switched_on):
            needed = "teacher names none" if self.teacher is None else f"no loss is on ({', '.join(LOSSES)})"
            raise ValueError(f"gold_repeats is 0 and {needed}: there is nothing to learn from")

    @property
    def switched_on(self) -> tuple[str, ...]:
        """Names of the losses with a weight, in the order in which they are summed."""
        return tuple(name for name in LOSSES if self.losses.get(name, 0.0) > 0)

    def reads(self, needed: Needs) -> bool:
        """Tell whether a loss that is on reads this of the teacher."""
        return any(LOSSES[name].needs is needed for name in self.switched_on)
