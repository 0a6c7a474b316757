"""Temperature scaling: entity scores that say how often the entity is right."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from distillex_matcher import CrfParameters, Featurizer, Lexicon

from distillex_training import processes
from distillex_training.config import Corpus
from distillex_training.config.model_directory import read_description
from distillex_training.data.labelled import Sentence
from distillex_training.data.measured import GoldFile, MeasuredFile, read_gold
from distillex_training.errors import ConfigError, NotFiniteError
from distillex_training.evaluate import EmissionFunction, Emissions, decode, torch_emissions, trim
from distillex_training.measures import reliability_of
from distillex_training.models import load_model, save_model
from distillex_training.models.directory import longest_input
from distillex_training.preconditions import check_model_output, read_base, types_of_directory
from distillex_training.reliability import Reliability
from distillex_training.weight_storage import Storage

BATCH_SIZE = 32
FARTHEST = 10.0
"""Temperatures are between this and its inverse: a model that makes no mistake would be scaled without end."""
TOLERANCE = 1e-4
"""Of the temperature, relative."""


@dataclass(frozen=True)
class FileCalibration:
    """One labelled file under the scores of before and of afterwards."""

    read: MeasuredFile
    before: Reliability
    after: Reliability


@dataclass(frozen=True)
class Calibration:
    """What calibrating a model did, on the files that the temperature was fitted on."""

    temperature: float
    files: tuple[FileCalibration, ...]


@dataclass(frozen=True)
class _Batch:
    """Some sentences with what the model says of them."""

    sentences: list[Sentence]
    scored: Emissions


@dataclass(frozen=True)
class _Scored:
    """A file with what the model says of its sentences."""

    read: MeasuredFile
    batches: list[_Batch]

    def at(self, temperature: float, crf: CrfParameters) -> Reliability:
        """Decode with all scores divided by a temperature."""
        decoder = _scaled(crf, temperature).decoder()
        sentences, found = [], []
        for batch in self.batches:
            scaled = batch.scored._replace(emissions=batch.scored.emissions / temperature)
            sentences += batch.sentences
            found += decode(decoder, scaled, [sentence.text for sentence in batch.sentences])
        return reliability_of(sentences, trim(sentences, found, self.read.trim))


def calibrate(
    directory: Path,
    data: Sequence[Corpus],
    base: Path,
    output: Path,
    *,
    storage: Storage = Storage.FLOAT32,
    prefer: float | None = None,
) -> Calibration:
    """Write a model whose emissions and CRF scores are divided by the temperature that its entity scores fit best.

    One temperature for all scores (Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017) leaves the best
    label sequences what they were; one for the emissions and one for the CRF would change what is found. It is the one
    with the least log loss of the found entities' posteriors, right or not: scores are of entities (Jagannatha and Yu,
    *Calibrating Structured Output Predictors for Natural Language Processing*, ACL 2020). The likelihood of whole label
    sequences also pays for entities that are missed, of which no score speaks: on text of another kind than the
    training's it flattens the scores of those that are found far below how often they are right (student-cluener on
    everyday sentences: temperature 1.3, calibration error 0.14; by entities 0.98, 0.055).

    Parameters
    ----------
    directory
        Model directory of a student or teacher.
    data
        Labelled JSON Lines that the model was not trained on, each with its declaration if it has one. Each file counts
        alike, whatever its length.
    base
        Compiled base lexicon.
    output
        Model directory to write.
    storage
        How the weights are stored.
    prefer
        What trust ``prefer`` in a word adds, of the scores as they are afterwards; None keeps the model's.

    Raises
    ------
    ConfigError
        For an output that is the model itself, data in which the model finds nothing, or a damaged model.
    DataError
        For data without an entity, or with types that neither the model nor a declaration has.
    ModelDirectoryError
        For a directory that holds no model.
    """
    types = types_of_directory(directory)
    gold = [read_gold(each.path, each.declaration, types) for each in data]
    return calibrate_on(gold, directory, read_base(base), output, storage=storage, prefer=prefer)


def calibrate_on(
    data: Sequence[GoldFile],
    directory: Path,
    base: Lexicon,
    output: Path,
    *,
    storage: Storage = Storage.FLOAT32,
    prefer: float | None = None,
) -> Calibration:
    """Calibrate as :func:`calibrate` does, on files that are read already.

    Raises
    ------
    ConfigError, ModelDirectoryError
        As :func:`calibrate`.
    """
    check_model_output(output, [directory])
    model, crf, layout = load_model(directory)
    model.to(processes.device())
    limit = longest_input(model, layout) - 2
    files = [each.within(limit) for each in data]
    featurizer = layout.featurizer(base)
    scored = [_score(torch_emissions(model), featurizer, file) for file in files]
    parameters = crf.parameters_for_serving()
    try:
        before = [each.at(1.0, parameters) for each in scored]
    except NotFiniteError as error:
        raise ConfigError(f"{directory}: {error}") from None
    temperature = _best_temperature(
        [each for each, found in zip(scored, before, strict=True) if found.scores], parameters, directory
    )
    with torch.no_grad():
        for parameter in (*model.tag.parameters(), *crf.parameters()):
            parameter.div_(temperature)
    crf.hold_constraints()
    if prefer is not None:
        crf.prefer = prefer
    after = [each.at(temperature, parameters) for each in scored]
    lexicon = read_description(directory).lexicon
    save_model(output, model, crf, layout, storage=storage, lexicon=lexicon)
    return Calibration(temperature, tuple(map(FileCalibration, files, before, after)))


def _score(emissions_of: EmissionFunction, featurizer: Featurizer, file: MeasuredFile) -> _Scored:
    ordered = sorted(file.sentences, key=lambda sentence: len(sentence.text))
    batches = []
    for begin in range(0, len(ordered), BATCH_SIZE):
        part = ordered[begin : begin + BATCH_SIZE]
        features = featurizer.featurize([sentence.text for sentence in part])
        batches.append(_Batch(part, Emissions(emissions_of(features), features.lengths)))
    return _Scored(file, batches)


def _scaled(crf: CrfParameters, temperature: float) -> CrfParameters:
    def divided(scores: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(score / temperature for score in scores)

    return dataclasses.replace(
        crf,
        transitions=tuple(map(divided, crf.transitions)),
        start=divided(crf.start),
        end=divided(crf.end),
    )


def _best_temperature(scored: Sequence[_Scored], crf: CrfParameters, directory: Path) -> float:
    if not scored:
        raise ConfigError(f"{directory}: it finds no entity in the data: there is no score to calibrate")

    def loss(log_temperature: float) -> float:
        temperature = math.exp(log_temperature)
        return sum(each.at(temperature, crf).log_loss for each in scored) / len(scored)

    return math.exp(_minimum(loss, -math.log(FARTHEST), math.log(FARTHEST), TOLERANCE))


def _minimum(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """Golden-section search (Kiefer 1953): where a function that falls, then rises, is lowest."""
    golden = (math.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > tolerance:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = function(right)
    return (low + high) / 2
