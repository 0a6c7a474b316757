"""Training a tagger on gold sentences: what teacher and student share."""

from __future__ import annotations

import dataclasses
import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from distillex_matcher import FeatureLayout, Featurizer, Lexicon
from torch import Tensor, nn

from distillex_training import evaluate
from distillex_training.config import DataConfig
from distillex_training.data.batches import Batch, length_bucketed_batches, make_batch
from distillex_training.data.convert import text_key
from distillex_training.data.labelled import Sentence, entity_types_of, read_splits
from distillex_training.data.raw import read_raw
from distillex_training.data.substitution import MentionExchanger, unchanged
from distillex_training.data.vocabulary import build_vocabulary
from distillex_training.lexicon import AugmentationConfig, LexiconAugmenter
from distillex_training.models import ConstrainedCrf, Student, Teacher, save_model
from distillex_training.training_loop import LoopConfig

LOG = logging.getLogger("distillex.training")


@dataclass(frozen=True)
class TaggingData:
    """What a run reads: sentences, the base lexicon, and the layout that follows from them."""

    train: list[Sentence]
    dev: list[Sentence]
    raw: list[str]
    base: Lexicon
    layout: FeatureLayout
    entity_types: tuple[str, ...]


def read_data(config: DataConfig, *, word_hash_size: int, layout: FeatureLayout | None = None) -> TaggingData:
    """Read the files of a run; ``layout`` (a teacher's, an initial student's) is kept where given.

    Of one that does not know all types of the base lexicon and of the labels, the vocabulary is kept.

    Raises
    ------
    DataError, LexiconError
        For a bad file, naming file and line.
    """
    base = Lexicon.load(config.lexicon)
    train, dev, reports = read_splits(config.train, config.dev)
    entity_types = entity_types_of(train)
    for report in reports:
        for line in report.lines():
            LOG.info("%s", line)
    known = {text_key(sentence.text) for sentence in train}
    leaked = sum(text_key(sentence.text) in known for sentence in dev)
    if leaked:
        LOG.warning(
            "%d of %d development sentences stand in the training file as well, so that the scores say too much: "
            "'distillex data check' names them",
            leaked,
            len(dev),
        )
    raw: list[str] = []
    if config.raw:
        raw, longer = read_raw(config.raw, max_length=config.raw_max_length)
        LOG.info("%d raw sentences; %d longer than %d left out", len(raw), longer, config.raw_max_length)
    types = (*sorted(base.types), *(t for t in entity_types if t not in base.types))
    if layout is None:
        layout = FeatureLayout(
            vocabulary=build_vocabulary((*(s.text for s in train), *raw), minimum_count=config.minimum_count),
            types=types,
            word_hash_size=word_hash_size,
        )
    elif not set(types) <= set(layout.types):
        layout = dataclasses.replace(layout, types=types)
    LOG.info("vocabulary %d, lexicon types %d", len(layout.vocabulary), len(layout.types))
    if config.raw_limit and config.raw_limit < len(raw):
        raw = random.Random(config.seed).sample(raw, config.raw_limit)
    return TaggingData(train, dev, raw, base, layout, entity_types)


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
        self._augmenter = LexiconAugmenter(augmentation, data.base, data.entity_types)
        self._exchanged = augmentation.exchanged
        self.sentences: Sequence[Sentence] = data.train

    @property
    def model(self) -> TaggingModel:
        """Tagger and CRF."""
        return self._model

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the optimiser groups given at construction."""
        return self._groups

    def batches(self, epoch: int) -> list[list[int]]:
        """Return indices of sentences of similar length."""
        lengths = [len(sentence.text) for sentence in self.sentences]
        return length_bucketed_batches(lengths, self.loop.batch_size, self.loop.max_characters, self.loop.seed, epoch)

    def batch(self, indices: Sequence[int], epoch: int) -> Batch:
        """Featurise sentences with the entities and the overlays of this epoch."""
        drawn, overlays = [], []
        for index in indices:
            chance = random.Random(f"{self.loop.seed}-{epoch}-{index}-entities")
            exchanged = chance.random() < self._exchanged
            sentence = self.sentences[index]
            drawn.append(self._exchanger.draw(sentence, chance) if exchanged else unchanged(sentence))
            generator = random.Random(f"{self.loop.seed}-{epoch}-{index}")
            overlays.append(self._augmenter.overlay(drawn[-1].sentence, generator))
        batch = make_batch(self.featurizer, self.model.crf.scheme, drawn, overlays, indices)
        return batch.to(self.model.crf.allowed_starts.device)

    def mentions(self) -> Iterable[tuple[str, str]]:
        """Surfaces and types to exchange entities for."""
        return ((s.text[span.start : span.end], span.type) for s in self.data.train for span in s.spans)

    @cached_property
    def _exchanger(self) -> MentionExchanger:
        return MentionExchanger(self.mentions(), max(len(sentence.text) for sentence in self.sentences))

    def emissions(self, batch: Batch) -> Tensor:
        """Emissions of the characters alone. *Shape:* [B, C, L], float32."""
        emissions: Tensor = self.model.tagger(*batch.inputs)
        return emissions[:, 1:-1].float()

    def loss(self, batch: list[int], epoch: int) -> Tensor:
        """Return the negative log likelihood of the gold labels, per character."""
        return self._gold_loss(self.batch(batch, epoch))

    def _gold_loss(self, features: Batch) -> Tensor:
        emissions = self.emissions(features)
        with torch.autocast(emissions.device.type, enabled=False):
            return self.model.crf.loss(emissions, features.labels, features.mask)

    def after_step(self) -> None:
        """Hold the CRF's constraints."""
        self.model.crf.hold_constraints()

    def evaluate(self) -> dict[str, float]:
        """Score the development set with the base lexicon, through the C++ decoder as in serving."""
        emissions_of = evaluate.torch_emissions(self.model.tagger)
        micro = evaluate.predict_and_score(self.featurizer, emissions_of, self.model.crf.decoder(), self.data.dev).micro
        return {"f1": micro.f1, "precision": micro.precision, "recall": micro.recall}

    def save(self, directory: Path) -> None:
        """Write a model directory."""
        save_model(directory, self.model.tagger, self.model.crf, self.data.layout)

    def publish(self, directory: Path) -> None:
        """Nothing: the best model alone is of use."""
