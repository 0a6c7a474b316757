"""Training a tagger on gold sentences: what teacher and student share."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from distillex_matcher import FeatureLayout, Featurizer, Lexicon, TextRules
from torch import Tensor, nn

from distillex_training import evaluate
from distillex_training.config import AugmentationConfig, DataConfig, LabelSource, LoopConfig, TrainingCorpus
from distillex_training.data.batches import Batch, length_bucketed_batches, make_batch
from distillex_training.data.convert import text_key
from distillex_training.data.labelled import Sentence
from distillex_training.data.noise import noisy
from distillex_training.data.raw import read_raw
from distillex_training.data.run_files import RunFiles
from distillex_training.data.substitution import MentionExchanger, joined, unchanged
from distillex_training.data.vocabulary import build_vocabulary
from distillex_training.data.words import read_words
from distillex_training.errors import DataError
from distillex_training.lexicon import LexiconAugmenter
from distillex_training.models import ConstrainedCrf, Student, Teacher, load_model, save_model
from distillex_training.scored_span import ScoredSpan
from distillex_training.task import BatchSize

LOG = logging.getLogger("distillex.training")


@dataclass(frozen=True)
class EvaluationSet:
    """Sentences that a model is measured on."""

    name: str
    sentences: list[Sentence]
    trim: str = ""
    """Characters that are taken off both ends of what is found: its declaration's."""


@dataclass(frozen=True)
class TrainingPart:
    """The sentences of one training file: so many, of which so many are drawn for each epoch (0: all)."""

    count: int
    per_epoch: int = 0

    def draw(self, begin: int, generator: random.Random) -> list[int]:
        """Return the numbers of the sentences of an epoch, the first of the file being ``begin``."""
        everything = list(range(begin, begin + self.count))
        if not self.per_epoch:
            return everything
        times, rest = divmod(self.per_epoch, self.count)
        return everything * times + generator.sample(everything, rest)


def draw_parts(parts: Sequence[TrainingPart], begin: int, generator: random.Random) -> list[int]:
    """Return the numbers of the sentences of an epoch, of files one after the other from ``begin``."""
    drawn: list[int] = []
    for part in parts:
        drawn += part.draw(begin, generator)
        begin += part.count
    return drawn


@dataclass(frozen=True)
class TaggingData:
    """What a run reads: sentences, the base lexicon, and the layout that follows from them."""

    train: list[Sentence]
    """Of all training files, one after the other."""
    dev: list[EvaluationSet]
    raw: list[str]
    base: Lexicon
    layout: FeatureLayout
    entity_types: tuple[str, ...]
    parts: tuple[TrainingPart, ...] = ()
    """Of ``train``; none: all of it is one."""
    test: tuple[EvaluationSet, ...] = ()
    mention_lists: Mapping[str, list[list[str]]] = field(default_factory=dict)
    """Word lists by type, for the exchange of entities."""
    sourced: list[Sentence] = field(default_factory=list)
    """Of all ``distillation.labels``, one file after the other; scores stand in their spans."""
    sourced_parts: tuple[TrainingPart, ...] = ()
    """Of ``sourced``."""

    @property
    def longest(self) -> int:
        """Code points of the longest labelled sentence."""
        measured = (each.sentences for each in (*self.dev, *self.test))
        return max((len(s.text) for part in (self.train, self.sourced, *measured) for s in part), default=0)


def read_data(
    config: DataConfig,
    *,
    word_hash_size: int,
    layout: FeatureLayout | None = None,
    labels: Sequence[LabelSource] = (),
    teacher_types: Sequence[str] = (),
) -> TaggingData:
    """Read the files of a run; ``layout`` (a teacher's, an initial student's) is kept where given.

    Of one that does not know all types of the base lexicon and of the labels, the vocabulary is kept.

    ``labels``: sources of labels beside the training files. ``teacher_types``: the model's types, beside those of
    ``labels``, where neither the configuration nor a training file says them.

    Raises
    ------
    DataError, LexiconError
        For a bad file, naming file and line.
    """
    base = Lexicon.load(config.lexicon)
    files = RunFiles(config, labels, teacher_types)
    read = files.read()
    for line in read.notes:
        LOG.info("%s", line)
    entity_types = read.entity_types
    train, sourced = _weighted(config.train, read.train), _weighted(labels, read.sourced)
    known = {text_key(sentence.text) for sentence in (*train, *sourced)}
    names = [name for corpora in (config.dev, config.test) for name in _names_of([each.path for each in corpora])]
    sets = [
        EvaluationSet(name, part, file.declaration.trim if file.declaration else "")
        for name, part, file in zip(names, read.measured, files.measured, strict=True)
    ]
    for each in sets:
        leaked = sum(text_key(sentence.text) in known for sentence in each.sentences)
        if leaked:
            LOG.warning(
                "%d of the %d sentences of %s stand in a training file as well, so that the scores say too much: "
                "'distillex data check' names them",
                leaked,
                len(each.sentences),
                each.name,
            )
    raw: list[str] = []
    if config.raw:
        raw, longer = read_raw(config.raw, max_length=config.raw_max_length)
        LOG.info("%d raw sentences; %d longer than %d left out", len(raw), longer, config.raw_max_length)
    types = (*sorted(base.types), *(t for t in entity_types if t not in base.types))
    try:
        rules = config.text.rules(None if layout is None else layout.text)
    except ValueError as error:
        raise DataError(str(error)) from None
    if layout is None:
        layout = FeatureLayout(
            vocabulary=build_vocabulary(
                (*(s.text for s in (*train, *sourced)), *raw),
                minimum_count=config.minimum_count,
                lowercase=rules.lowercase,
            ),
            types=types,
            word_hash_size=word_hash_size,
            text=rules,
        )
    elif not set(types) <= set(layout.types):
        layout = dataclasses.replace(layout, types=types)
    LOG.info("vocabulary %d, lexicon types %d", len(layout.vocabulary), len(layout.types))
    if config.raw_limit and config.raw_limit < len(raw):
        raw = random.Random(config.seed).sample(raw, config.raw_limit)
    counted, of_sources = (
        tuple(TrainingPart(len(part), c.per_epoch) for c, part in zip(corpora, parts, strict=True))
        for corpora, parts in ((config.train, read.train), (labels, read.sourced))
    )
    dev, test = sets[: len(config.dev)], tuple(sets[len(config.dev) :])
    lists: dict[str, list[list[str]]] = {}
    for of_type in config.mentions:
        if of_type.type not in entity_types:
            raise DataError(f"data.mentions: {of_type.type!r} is no entity type; types: {', '.join(entity_types)}")
        lists.setdefault(of_type.type, []).extend(read_words(path, of_type.longest) for path in of_type.words)
    return TaggingData(
        *(train, dev, raw, base, layout, entity_types, counted, test, lists), sourced=sourced, sourced_parts=of_sources
    )


def _weighted(corpora: Sequence[TrainingCorpus], parts: Sequence[Sequence[Sentence]]) -> list[Sentence]:
    """Return the sentences of all files, each with its file's weight."""
    return [
        sentence if corpus.weight == 1.0 else dataclasses.replace(sentence, weight=sentence.weight * corpus.weight)
        for corpus, part in zip(corpora, parts, strict=True)
        for sentence in part
    ]


def _names_of(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths, without suffixes, that tell them apart."""
    plain = [path.with_suffix("").parts for path in paths]
    for length in range(1, max(map(len, plain), default=1) + 1):
        names = ["/".join(each[-length:]) for each in plain]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


class TaggingModel(nn.Module):
    """Emissions and CRF as one module, for the loop; a distilled student's projection is no part of what is saved."""

    def __init__(self, tagger: Student | Teacher, crf: ConstrainedCrf, projection: nn.Linear | None = None) -> None:
        super().__init__()
        self.tagger = tagger
        self.crf = crf
        self.projection = projection


class GoldTask:
    """Maximise the CRF likelihood of gold labels, with a fresh lexicon overlay for each sentence and epoch."""

    metric = "f1"

    def __init__(
        self,
        tagger: Student | Teacher,
        crf: ConstrainedCrf,
        data: TaggingData,
        augmentation: AugmentationConfig,
        loop: LoopConfig,
        groups: list[dict[str, Any]],
    ) -> None:
        self._model = TaggingModel(tagger, crf)
        self.data = data
        self.loop = loop
        self._groups = groups
        self.featurizer: Featurizer = data.layout.featurizer(data.base)
        self._augmenter = LexiconAugmenter(
            *(augmentation, data.base, data.entity_types), word_boundaries=data.layout.text.word_boundaries
        )
        self._exchanged = augmentation.exchanged
        self._noisy = augmentation.noisy
        self.sentences: Sequence[Sentence] = data.train
        self._parts = data.parts or (TrainingPart(len(data.train)),)

    @property
    def meaning(self) -> str:
        """Checksum of vocabulary, lexicon types, entity types and text rules."""
        layout = self.data.layout
        named = (*layout.vocabulary, "", *layout.types, "", *self.data.entity_types)
        if layout.text != TextRules():
            named += ("", str(layout.text))
        return hashlib.sha256("\n".join(named).encode()).hexdigest()

    @property
    def model(self) -> TaggingModel:
        """Tagger and CRF."""
        return self._model

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the optimiser groups given at construction."""
        return self._groups

    def batches(self, epoch: int) -> list[list[int]]:
        """Return indices of sentences of similar length."""
        return self._bucketed(self.gold_indices(epoch), self.loop.seed, epoch)

    def gold_indices(self, epoch: int) -> list[int]:
        """Return the labelled sentences of an epoch, drawn afresh of each file that gives a part of its own."""
        return draw_parts(self._parts, 0, random.Random(f"{self.loop.seed}-{epoch}-drawn"))

    def sentence(self, index: int, epoch: int) -> Sentence:  # noqa: ARG002
        """Return a sentence of an epoch by its number, as the epoch teaches it."""
        return self.sentences[index]

    def text(self, index: int, epoch: int) -> str:  # noqa: ARG002
        """Return the text of a sentence of an epoch by its number."""
        return self.sentences[index].text

    def size(self, batch: list[int], epoch: int) -> BatchSize:
        """Tell how much a batch holds, before entities are exchanged."""
        return BatchSize(len(batch), len(batch) * max(len(self.text(i, epoch)) for i in batch))

    def _bucketed(self, indices: Sequence[int], seed: int, epoch: int) -> list[list[int]]:
        lengths = [len(self.text(i, epoch)) for i in indices]
        batches = length_bucketed_batches(lengths, self.loop.batch_size, self.loop.max_characters, seed, epoch)
        return [[indices[i] for i in batch] for batch in batches]

    def batch(self, indices: Sequence[int], epoch: int) -> Batch:
        """Featurise sentences with the entities and the overlays of this epoch."""
        drawn, overlays = [], []
        for index in indices:
            chance = random.Random(f"{self.loop.seed}-{epoch}-{index}-entities")
            exchanged = chance.random() < self._exchanged and self.may_change(index)
            sentence = self.sentence(index, epoch)
            drawn.append(self._exchanger.draw(sentence, chance) if exchanged else unchanged(sentence))
            if self._noisy > 0 and chance.random() < self._noisy and self.may_change(index):
                drawn[-1] = joined(drawn[-1], noisy(drawn[-1].sentence, chance))
            generator = random.Random(f"{self.loop.seed}-{epoch}-{index}")
            overlays.append(self._augmenter.overlay(drawn[-1].sentence, generator))
        return make_batch(self.featurizer, self.model.crf.scheme, drawn, overlays, indices)

    def may_change(self, index: int) -> bool:  # noqa: ARG002
        """Tell whether a sentence may have other entities and less punctuation than it was labelled with."""
        return True

    def mentions(self) -> Iterable[tuple[str, str]]:
        """Surfaces and types to exchange entities for."""
        return ((s.text[e.start : e.end], e.type) for s in self.data.train for e in s.spans if not e.also)

    @cached_property
    def _exchanger(self) -> MentionExchanger:
        longest = max((len(sentence.text) for sentence in self.sentences), default=0)
        return MentionExchanger(self.mentions(), longest, self.data.mention_lists)

    def emissions(self, batch: Batch) -> Tensor:
        """Emissions of the characters alone. *Shape:* [B, C, L], float32."""
        emissions: Tensor = self.model.tagger(*batch.inputs)
        return emissions[:, 1:-1].float()

    def prepare(self, batch: list[int], epoch: int) -> Any:
        """Featurise a batch."""
        return self.batch(batch, epoch)

    def loss(self, prepared: Any) -> Tensor:
        """Return the negative log likelihood of the gold labels, per character."""
        return self._gold_loss(prepared.to(self.device))

    def figures(self) -> dict[str, float]:
        """Nothing: the loss is all there is."""
        return {}

    @property
    def device(self) -> torch.device:
        """Where the model is trained."""
        device: torch.device = self.model.crf.allowed_starts.device
        return device

    def _gold_loss(self, features: Batch) -> Tensor:
        return self.lost(self.emissions(features), features)

    def lost(self, emissions: Tensor, features: Batch) -> Tensor:
        """Return the negative log likelihood of the gold labels under some emissions, per character."""
        with torch.autocast(emissions.device.type, enabled=False):
            return self.model.crf.loss(
                emissions, features.labels, features.mask, allowed=features.allowed, weights=features.weights
            )

    def after_step(self) -> None:
        """Hold the CRF's constraints."""
        self.model.crf.hold_constraints()

    def evaluate(self) -> dict[str, float]:
        """Score the development sets with the base lexicon, through the C++ decoder as in serving.

        Of several, each is scored, and ``f1``, ``precision`` and ``recall`` are means. Empty without any.
        """
        return self._measured(self.data.dev, self.model.tagger, self.model.crf)

    def test(self, directory: Path) -> dict[str, float]:
        """Score the picked model on the test sets, as :meth:`evaluate` does; empty without any."""
        if not self.data.test:
            return {}
        return self._measured(self.data.test, *self.saved(directory))

    def saved(self, directory: Path) -> tuple[Student | Teacher, ConstrainedCrf]:
        """Read what :meth:`save` wrote, to where the model is trained."""
        tagger, crf, _ = load_model(directory)
        return tagger.to(self.device), crf

    def predict(
        self, sentences: Sequence[Sentence], tagger: Student | Teacher, crf: ConstrainedCrf
    ) -> list[list[ScoredSpan]]:
        """Return what a model finds with the base lexicon."""
        texts = [sentence.text for sentence in sentences]
        return evaluate.predict_with_scores(self.featurizer, evaluate.torch_emissions(tagger), crf.decoder(), texts)

    def _measured(
        self, sets: Sequence[EvaluationSet], tagger: Student | Teacher, crf: ConstrainedCrf
    ) -> dict[str, float]:
        scores = {
            each.name: evaluate.score_found(each.sentences, self.predict(each.sentences, tagger, crf), each.trim).micro
            for each in sets
        }
        if not scores:
            return {}
        metrics = {
            name: sum(getattr(micro, name) for micro in scores.values()) / len(scores)
            for name in ("f1", "precision", "recall")
        }
        if len(scores) > 1:
            metrics |= {f"f1_{name}": micro.f1 for name, micro in scores.items()}
        return metrics

    def save(self, directory: Path) -> None:
        """Write a model directory."""
        lexicon = self.data.base.checksum
        save_model(directory, self.model.tagger, self.model.crf, self.data.layout, lexicon=lexicon)

    def publish(self, directory: Path) -> None:
        """Nothing: the best model alone is of use."""
