"""The runs that a configuration file describes."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Literal

from distillex_training.config.augmentation import AugmentationConfig, EverydayConfig
from distillex_training.config.data import DataConfig
from distillex_training.config.distillation import DistillationConfig
from distillex_training.config.loop import LoopConfig
from distillex_training.config.losses import LOSSES
from distillex_training.config.student import StudentSizes
from distillex_training.config.values import (
    NAMES_CONTENT,
    EncoderName,
    HashSize,
    InputFile,
    ModelDirectory,
    NotEmpty,
    OneAlone,
    Rate,
    SequenceLength,
    ShareAboveZero,
    ShareBelowOne,
    Size,
    Switch,
    Weight,
    settings,
)


@settings(frozen=True)
class StudentRun:
    """``distillex distill``."""

    data: DataConfig
    """The data of the run."""
    student: StudentSizes = field(default_factory=StudentSizes)
    """Sizes of the student."""
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    """What the student learns from."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """How the lexicon of a training sentence is drawn."""
    everyday: EverydayConfig = field(default_factory=EverydayConfig)
    """Everyday sentences in addition to the labelled ones."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """How to optimise."""
    learning_rate: Rate = 2e-3
    """Learning rate of everything without its own rate."""
    table_learning_rate: Rate | None = None
    """Learning rate of the embedding tables; default: ``learning_rate``."""
    crf_learning_rate: Rate = 1e-2
    """Learning rate of the CRF."""
    init_from: ModelDirectory | None = None
    """Model directory of a student to begin with: its sizes, its vocabulary; its entity types may be others."""

    def __post_init__(self) -> None:
        """Check what is right alone but not together.

        Raises
        ------
        ValueError
            Naming the keys.
        """
        _check_sources(self.data, self.distillation)
        if self.init_from is not None and self.distillation.start_from_teacher:
            raise ValueError("distillation.start_from_teacher is true; with init_from give false")


@settings(frozen=True)
class TeacherRun:
    """``distillex finetune``."""

    data: DataConfig
    """The data of the run."""
    encoder: EncoderName = field(metadata=NAMES_CONTENT)
    """Name or directory for ``AutoModel.from_pretrained``, or a teacher's model directory, for its encoder."""
    init_from: ModelDirectory | None = None
    """Model directory of a teacher to begin with, of the same encoder and sizes; its entity types may be others."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """How the lexicon of a training sentence is drawn."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """How to optimise."""
    encoder_learning_rate: Weight = 7e-5
    """Learning rate of the encoder's top layer."""
    layer_decay: ShareAboveZero = 0.92
    """Each layer has this times the rate of the one above; the embeddings are a layer below the lowest."""
    learning_rate: Rate = 1e-3
    """Learning rate of fusion and head."""
    crf_learning_rate: Rate = 1e-2
    """Learning rate of the CRF."""
    word_pieces: Switch = False
    """Give the encoder the pieces of its own tokenizer and pool them to characters; false: one token per character.
    Such a teacher labels and teaches, but cannot be exported (docs/explanation/distillation.md).
    """
    word_hash_size: HashSize = 32768
    """Rows of the table of lexicon words."""
    lexicon_embedding: Size = 48
    """Width of the tables of lexicon words and types."""
    lexicon_width: Size = 128
    """Width of the lexicon features."""
    head: Size = 256
    """Width of the two-layer head."""
    dropout: ShareBelowOne = 0.2
    """Dropout of the head's input and within it."""
    word_dropout: ShareBelowOne = 0.2
    """Share of the lexicon words whose own vector training hides; their type stays."""
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    """With ``distillation.teacher``: learn from an earlier teacher's predictions on raw text too (self-training); with
    ``distillation.labels``: from files of labels."""
    adversarial: Weight = 0.0
    """Length of the adversarial step on the embeddings of a sentence; 0 trains without, more costs twice the time."""

    def __post_init__(self) -> None:
        """Check what is right alone but not together.

        Raises
        ------
        ValueError
            Naming the keys.
        """
        _check_sources(self.data, self.distillation)
        if self.adversarial > 0:
            for name in ("teacher", "labels"):
                if getattr(self.distillation, name):
                    raise ValueError(f"adversarial: not together with distillation.{name}")


@settings(frozen=True)
class PretrainRun:
    """``distillex pretrain``; ``loop.batch_size`` counts sequences, an epoch is all of the raw text."""

    raw: Annotated[tuple[InputFile, ...], NotEmpty, OneAlone()]
    """Unlabelled text, one sentence per line."""
    init: EncoderName | None = field(default=None, metadata=NAMES_CONTENT)
    """Encoder to go on from: what ``AutoModel.from_pretrained`` takes; without it ``encoder`` is trained from zero."""
    encoder: dict[str, Any] = field(default_factory=dict)
    """transformers configuration of a new encoder: ``model_type`` and sizes."""
    lexicon: InputFile | None = None
    """Compiled base lexicon, for whole-word masking."""
    whole_word: Switch = True
    """Hide the words of the base lexicon whole."""
    masked_share: ShareAboveZero = 0.15
    """Share of the characters that are masked."""
    sequence_length: SequenceLength = 128
    """Tokens, ``[CLS]`` and ``[SEP]`` included."""
    minimum_count: Size = 2
    """Characters seen less often are not in the vocabulary."""
    held_out: Size = 2000
    """Sentences for evaluation instead of training (at most a tenth of all)."""
    learning_rate: Rate = 2e-4
    """Learning rate of the encoder."""
    head_learning_rate: Rate = 1e-3
    """Learning rate of the new head."""
    dropout: ShareBelowOne = 0.1
    """Dropout of the layers."""
    attention_dropout: ShareBelowOne = 0.0
    """Dropout of the attention."""
    attention: Literal["sdpa", "eager"] = "sdpa"
    """How transformers computes attention: ``sdpa`` (fused, best on a GPU) or ``eager`` (a quarter faster on a CPU)."""
    half_precision: Switch = True
    """Store the encoder as float16."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """How to optimise."""

    def __post_init__(self) -> None:
        """Check what is right alone but not together.

        Raises
        ------
        ValueError
            Naming the keys.
        """
        if self.whole_word and self.lexicon is None:
            raise ValueError("whole_word: true needs the key 'lexicon' (distillex lexicon build)")
        if self.init is None and "model_type" not in self.encoder:
            raise ValueError(
                "encoder: the key 'model_type' is missing (such as albert or bert); or name an encoder, init"
            )


def _check_sources(data: DataConfig, distillation: DistillationConfig) -> None:
    """Check that there is something to learn from, and what is needed to learn it as the losses say."""
    if not data.train and not distillation.labels and distillation.teacher is None:
        raise ValueError(
            "the key 'data.train' is missing; it may be absent beside distillation.labels or distillation.teacher"
        )
    if data.train and not data.dev:
        raise ValueError("the key 'data.dev' is missing; it may be absent where 'data.train' is")
    if distillation.teacher is not None and not data.raw:
        raise ValueError(
            "distillation.teacher labels the raw text, but data.raw names none; data.raw: [FILE] is accepted, "
            "or distillation.teacher: null"
        )
    if not data.train and not distillation.labels and not distillation.switched_on:
        raise ValueError(
            f"data.train names no file and no loss is on ({', '.join(LOSSES)}): there is nothing to learn from"
        )
    if distillation.labels and distillation.teacher is None:
        for name in distillation.switched_on:
            if LOSSES[name].needs.said_by_models_alone:
                raise ValueError(
                    f"distillation.losses.{name} is {distillation.losses[name]}: it needs what a model says of each "
                    "character, which distillation.labels do not hold; give 0, or a distillation.teacher"
                )
