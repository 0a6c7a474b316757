"""Run configurations: one YAML file per published result, read strictly into dataclasses."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import yaml

from distillex_training.accepted import (
    Checked,
    Count,
    HashSize,
    NotEmpty,
    OneOf,
    Range,
    Rate,
    Seed,
    Share,
    ShareBelowOne,
    Size,
    Weight,
)
from distillex_training.data.everyday import EverydayConfig
from distillex_training.lexicon import AugmentationConfig
from distillex_training.models.student import ENCODER_NAMES, check_sizes_together
from distillex_training.run_record import NAMES_CONTENT, WITHOUT_EFFECT
from distillex_training.training_loop import LoopConfig

T = TypeVar("T")


class ConfigError(ValueError):
    """A configuration file holds an unknown key or a value of the wrong form."""


@dataclass(frozen=True)
class Corpus(Checked):
    """A labelled file; in a configuration its path alone will do, and one alone for a list of them."""

    shorthand: ClassVar[str] = "path"
    """The key whose value alone may stand for all of it (:func:`read_config`)."""

    path: Path
    declaration: Path | None = None
    """What its types mean (:mod:`distillex_training.data.declaration`); without one they are the model's own, and
    all are labelled."""


@dataclass(frozen=True)
class TrainingCorpus(Corpus):
    """A labelled file to train on."""

    weight: Weight = 1.0
    """Of its sentences' losses."""
    per_epoch: Count = 0
    """So many of its sentences are drawn for each epoch; more than it holds repeats them. 0: each once."""


@dataclass(frozen=True)
class LabelSource(TrainingCorpus):
    """Labels of an LLM, a model, rules or people, to learn from (:mod:`distillex_training.data.label_sources`)."""

    threshold: Share = 0.0
    """Entities of a lower score say nothing of their characters."""
    types: tuple[str, ...] = ()
    """Types of the model that it labels; without them those that stand in the file. The others stay open."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.types and self.declaration is not None:
            raise ValueError(f"types is {list(self.types)}; with a declaration, which says that, nothing is accepted")


@dataclass(frozen=True)
class MentionLists(Checked):
    """Words that may stand for an entity of a type."""

    type: str
    words: Annotated[tuple[Path, ...], NotEmpty()]
    """Word lists, one word a line; a list is drawn, then a word of it."""
    longest: Size = 16
    """Longer words are left out. Code points."""


@dataclass(frozen=True)
class DataConfig(Checked):
    """Files of a run; relative paths are resolved against the configuration file's folder, then the working folder."""

    lexicon: Path
    """Compiled base lexicon (``distillex lexicon build``)."""
    train: tuple[TrainingCorpus, ...] = ()
    """May be absent where something else teaches: ``distillation.labels``, ``distillation.teacher``."""
    dev: tuple[Corpus, ...] = ()
    """What the best epoch is picked on: by the mean of their F1. May be absent where ``train`` is: the last epoch is
    kept then."""
    test: tuple[Corpus, ...] = ()
    """What the picked model is measured on once, at the end (``test.json``)."""
    types: tuple[str, ...] = ()
    """The model's entity types; without them all that the training files label, and without those the teacher's and
    those of ``distillation.labels``."""
    mentions: tuple[MentionLists, ...] = ()
    """Where entities are exchanged for others of their type, half of those come from these lists."""
    raw: tuple[Path, ...] = ()
    """Unlabelled text, one sentence a line, or labelled files (``.jsonl``) of whatever types: for the vocabulary, and
    for the teacher to label."""
    raw_max_length: Size = 80
    raw_limit: Count = 0
    """Use so many raw sentences, drawn with ``seed``; 0 uses all."""
    seed: Seed = 1
    """Of what is drawn from the raw text or made of it: one labelling by the teacher does for all ``loop.seed``."""
    minimum_count: Size = 2
    """Characters seen less often are left out of the vocabulary."""


@dataclass(frozen=True)
class StudentSizes(Checked):
    """The sizes of :class:`~distillex_training.models.student.StudentConfig` that a run chooses."""

    encoder: Annotated[str, OneOf(ENCODER_NAMES)] = "gated_cnn"
    width: Size = 128
    dilations: Annotated[tuple[Size, ...], NotEmpty()] = (1, 2, 4, 8, 1)
    character_embedding: Size = 96
    bigram_embedding: Size = 32
    bigram_hash_size: HashSize = 32768
    owned_bigrams: bool = False
    owned_words: bool = False
    trigram_embedding: Count = 0
    trigram_hash_size: HashSize = 65536
    lexicon_embedding: Size = 32
    head: Size = 128
    dropout: ShareBelowOne = 0.3
    word_dropout: ShareBelowOne = 0.2
    character_dropout: ShareBelowOne = 0.0
    word_hash_size: HashSize = 32768
    context: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes_together(self.encoder, self.width, self.trigram_embedding, self.bigram_hash_size)


@dataclass(frozen=True)
class DistillationConfig(Checked):
    """What the student learns from; a weight of 0 switches a loss off. Without a teacher only gold counts."""

    teacher: Path | None = None
    """Model directory of the teacher; it may know more or fewer types than the student."""
    labels: tuple[LabelSource, ...] = ()
    """Files of labels to learn from, beside a teacher or without one: of an LLM, GLiNER, rules, people."""
    beside: tuple[Path, ...] = ()
    """Model directories of further teachers, or students, that label together with it: the mean of their emissions and
    of their CRF scores. ``hidden`` and ``start_from_teacher`` are the teacher's alone."""
    cache: Path = field(default=Path("runs/teacher-cache"), metadata=WITHOUT_EFFECT)
    """Where the teacher's predictions are kept, by a hash of teacher, text and lexicon; runs may share it."""
    gold: Weight = 1.0
    """CRF likelihood of the gold labels."""
    gold_repeats: Count = 1
    """How often the gold sentences are seen in an epoch; 0 leaves them out."""
    viterbi: Weight = 0.0
    """CRF likelihood of the teacher's best sequence on raw text."""
    marginals: Weight = 0.0
    """Cross-entropy of the student's token distributions with the teacher's posterior marginals, on raw text."""
    posteriors: Weight = 0.0
    """The same with the student's own CRF posteriors in place of its token distributions."""
    best_paths: Weight = 1.0
    """CRF likelihood of the teacher's ``paths`` best sequences, weighted by the teacher's belief in each."""
    paths: Size = 5
    emission_error: Weight = 0.0
    """Mean squared difference of the emissions."""
    emission_divergence: Weight = 0.0
    """Kullback-Leibler divergence of the emissions' softmax, both at ``temperature``."""
    hidden: Weight = 0.0
    """Mean squared difference of the encoder's outputs, the student's through a learnt projection. The cache takes two
    bytes a character and unit of the teacher's width."""
    temperature: Rate = 1.0
    """Of ``marginals``, ``best_paths`` and ``emission_divergence``."""
    substituted: Count = 0
    """So many further raw sentences are made from labelled and raw ones, entities exchanged for others of their type,
    for the teacher to label."""
    crossed: Share = 0.0
    """Share of the exchanged entities that are new: the beginning of one mention and the end of another."""
    start_from_teacher: bool = False
    """Begin with the teacher's character embeddings, cut to the student's width."""
    minimum_confidence: Share = 0.0
    """Raw sentences whose least certain entity is below this posterior are left out."""


FROM_OUTPUTS = ("marginals", "posteriors", "emission_error", "emission_divergence", "hidden")
"""Losses against what a model says of each character: a file of labels does not say it."""


def check_sources(data: DataConfig, distillation: DistillationConfig) -> None:
    """Check that there is something to learn from, and what is needed to learn it as the losses say.

    Raises
    ------
    ValueError
        For what is missing, naming the key.
    """
    if not data.train and not distillation.labels and distillation.teacher is None:
        raise ValueError(
            "data: the key 'train' is missing; it may be absent beside distillation.labels or distillation.teacher"
        )
    if data.train and not data.dev:
        raise ValueError("data: the key 'dev' is missing; it may be absent where 'train' is")
    if distillation.labels and distillation.teacher is None:
        for loss in FROM_OUTPUTS:
            if (weight := getattr(distillation, loss)) > 0:
                raise ValueError(
                    f"distillation.{loss} is {weight}: it needs what a model says of each character, which "
                    "distillation.labels do not hold; give 0, or a distillation.teacher"
                )


@dataclass(frozen=True)
class StudentRun(Checked):
    """``distillex distill``."""

    data: DataConfig
    student: StudentSizes = field(default_factory=StudentSizes)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    everyday: EverydayConfig = field(default_factory=EverydayConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    learning_rate: Rate = 2e-3
    table_learning_rate: Rate | None = None
    """Of the embedding tables; like ``learning_rate`` where it is not given."""
    crf_learning_rate: Rate = 1e-2
    initial: Path | None = None
    """Model directory of a student to begin with: its sizes, its vocabulary; its entity types may be others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sources(self.data, self.distillation)


@dataclass(frozen=True)
class TeacherRun(Checked):
    """``distillex finetune``."""

    data: DataConfig
    encoder: str = field(metadata=NAMES_CONTENT)
    """What ``AutoModel.from_pretrained`` takes: a name or a directory; or a teacher's model directory: its encoder."""
    initial: Path | None = None
    """Model directory of a teacher to begin with, of the same encoder and sizes; its entity types may be others."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    encoder_learning_rate: Weight = 7e-5
    layer_decay: Annotated[float, Range(more_than=0, at_most=1)] = 0.92
    learning_rate: Rate = 1e-3
    crf_learning_rate: Rate = 1e-2
    word_hash_size: HashSize = 32768
    lexicon_embedding: Size = 48
    lexicon_width: Size = 128
    head: Size = 256
    dropout: ShareBelowOne = 0.2
    word_dropout: ShareBelowOne = 0.2
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    """With ``distillation.teacher``: learn from an earlier teacher's predictions on raw text too (self-training)."""
    adversarial: Weight = 0.0
    """Length of the adversarial step on the embeddings of a sentence; 0 trains without, more costs twice the time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sources(self.data, self.distillation)


@dataclass(frozen=True)
class PretrainRun(Checked):
    """``distillex pretrain``; ``loop.batch_size`` counts sequences, an epoch is all of the raw text."""

    raw: tuple[Path, ...]
    """Unlabelled text, one sentence a line."""
    init: str | None = field(default=None, metadata=NAMES_CONTENT)
    """Encoder to go on from: what ``AutoModel.from_pretrained`` takes; without it ``encoder`` is trained from zero."""
    encoder: dict[str, Any] = field(default_factory=dict)
    """transformers configuration of a new encoder: ``model_type`` and sizes."""
    lexicon: Path | None = None
    """Compiled base lexicon, for whole-word masking."""
    whole_word: bool = True
    masked_share: Annotated[float, Range(more_than=0, at_most=1)] = 0.15
    sequence_length: Annotated[int, Range(at_least=3)] = 128
    minimum_count: Size = 2
    """Characters seen less often are left out of the vocabulary."""
    held_out: Size = 2000
    """Sentences that are not trained on but measured on (at most a tenth of all)."""
    learning_rate: Rate = 2e-4
    head_learning_rate: Rate = 1e-3
    dropout: ShareBelowOne = 0.1
    attention_dropout: ShareBelowOne = 0.0
    attention: Annotated[str, OneOf(("sdpa", "eager"))] = "sdpa"
    """How transformers computes attention: ``sdpa`` (fused, best on a GPU) or ``eager`` (a quarter faster on a CPU)."""
    half_precision: bool = True
    """Store the encoder as float16."""
    log_batches: Size = field(default=50, metadata=WITHOUT_EFFECT)
    loop: LoopConfig = field(default_factory=LoopConfig)


def read_config(path: Path, kind: type[T], overrides: dict[str, str] | None = None) -> T:
    """Read a YAML file into a dataclass.

    Parameters
    ----------
    path
        The file.
    kind
        :class:`PretrainRun`, :class:`TeacherRun` or :class:`StudentRun`.
    overrides
        Dotted keys to YAML values, such as ``{"loop.seed": "2"}``; they win over the file.

    Raises
    ------
    ConfigError
        For an unknown key (naming it and the accepted ones), a missing or repeated one, or a value of the wrong form.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _EachKeyOnce)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values")
    for key, value in (overrides or {}).items():
        _override(content, key, value)
    built: T = _build(kind, content, str(path), path.parent)
    return built


class _EachKeyOnce(yaml.SafeLoader):  # type: ignore[misc]
    """A safe loader that refuses a key that stands twice; YAML's own takes the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        repeated = next((key for key in keys if keys.count(key) > 1), None)
        if repeated is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {repeated!r} stands twice", node.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def _override(content: dict[str, Any], key: str, value: str) -> None:
    *parents, last = key.split(".")
    level = content
    for parent in parents:
        below = level.setdefault(parent, {})
        if not isinstance(below, dict):
            raise ConfigError(f"{key}: {parent!r} holds {below!r}, which has no keys")
        level = below
    try:
        level[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"{key}: {value!r} is not YAML: {error}") from None


def _build(kind: Any, value: Any, where: str, folder: Path) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, where, folder)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _build(next(a for a in arguments if a is not type(None)), value, where, folder)
    if origin is tuple:
        if hasattr(arguments[0], "shorthand") and isinstance(value, (str, dict)):
            value = [value]
        if not isinstance(value, list):
            raise ConfigError(f"{where}: {value!r} is not a list")
        return tuple(_build(arguments[0], item, where, folder) for item in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected keys and values, not {value!r}")
        return value
    if kind is Path:
        beside = folder / str(value)
        return beside if beside.exists() else Path(str(value))
    if kind is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 2e-3 as a string
        except ValueError:
            raise ConfigError(f"{where}: {value!r} is not a number") from None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"{where}: {value!r} is not of type {kind.__name__}")
    return value


def _build_dataclass(kind: Any, value: Any, where: str, folder: Path) -> Any:
    if isinstance(value, str) and hasattr(kind, "shorthand"):
        value = {kind.shorthand: value}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected keys and values, not {value!r}")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in value:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key {key!r}; accepted keys: {', '.join(fields)}")
    for name, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in value:
            raise ConfigError(f"{where}: the key {name!r} is missing")
    built = {key: _build(hints[key], item, f"{where}: {key}", folder) for key, item in value.items()}
    try:
        return kind(**built)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None
