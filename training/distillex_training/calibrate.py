"""Temperature scaling: entity scores that say how often the entity is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from distillex_matcher import Featurizer, Lexicon
from torch import Tensor

from distillex_training.config import ConfigError
from distillex_training.data.batches import make_batch
from distillex_training.data.labelled import ReadReport, Sentence, read_labelled
from distillex_training.data.substitution import unchanged
from distillex_training.losses import CrfScores, crf_log_partition, crf_path_scores
from distillex_training.models import ConstrainedCrf, Student, Teacher, load_model, save_model
from distillex_training.models.directory import longest_input

BATCH_SIZE = 32
FARTHEST = 10.0
"""Temperatures are between this and its inverse: a model that makes no mistake would be scaled without end."""
EVALUATIONS = 20
"""Of the likelihood, at most, in the search for the temperature; about eight are enough."""
BINS = 10


@dataclass(frozen=True)
class Confidence:
    """How scores compare with what is right."""

    mean_score: float
    """Of the predicted entities."""
    precision: float
    """Share of them that are right."""
    calibration_error: float
    """Expected calibration error in 10 bins of equal width (Naeini et al., AAAI 2015)."""


@dataclass(frozen=True)
class Calibration:
    """What calibrating a model did; both confidences are of the sentences that the temperature was fitted on."""

    temperature: float
    read: ReadReport
    """What reading the labelled file found."""
    before: Confidence
    after: Confidence


@dataclass(frozen=True)
class _Scored:
    """A batch of sentences with what the model says of their characters."""

    sentences: list[Sentence]
    emissions: Tensor
    labels: Tensor
    mask: Tensor


def calibrate(
    directory: Path, data: Path, base: Path, output: Path, *, half_precision: bool = False, prefer: float | None = None
) -> Calibration:
    """Write a model whose emissions and CRF scores are divided by the temperature that makes gold labels likeliest.

    The best label sequences stay what they were; posteriors, and with them scores, move. Temperature scaling: Guo et
    al., *On Calibration of Modern Neural Networks*, ICML 2017, here with the likelihood of label sequences.

    Parameters
    ----------
    directory
        Model directory of a student or teacher.
    data
        Labelled JSON Lines that the model was not trained on.
    base
        Compiled base lexicon.
    output
        Model directory to write.
    half_precision
        Store the weights as float16.
    prefer
        What trust ``prefer`` in a word adds, of the scores as they are afterwards; None keeps the model's.

    Raises
    ------
    ConfigError
        For data without an entity, an output that is the model itself, or a damaged model.
    DataError
        For wrong data, or entity types that the model does not have.
    ModelDirectoryError
        For a directory that holds no model.
    """
    model, crf, layout = load_model(directory)
    if output.resolve() == directory.resolve():
        raise ConfigError(f"{output} is the model itself, which would be lost: give another directory")
    limit = longest_input(model, layout)
    sentences, report = read_labelled(data, entity_types=crf.scheme.entity_types, max_length=limit - 2)
    if not any(sentence.spans for sentence in sentences):
        raise ConfigError(f"{data}: no entity in it to calibrate with")
    scored = _score(model, crf, layout.featurizer(Lexicon.load(base)), sentences)
    try:
        before = _confidence(crf, scored)
    except ValueError as error:
        raise ConfigError(f"{directory}: its emissions are no finite numbers: {error}") from None
    temperature = _likeliest_temperature(crf, scored)
    with torch.no_grad():
        for parameter in (*model.tag.parameters(), *crf.parameters()):
            parameter.div_(temperature)
    crf.hold_constraints()
    if prefer is not None:
        crf.prefer = prefer
    after = _confidence(crf, [_Scored(s.sentences, s.emissions / temperature, s.labels, s.mask) for s in scored])
    save_model(output, model, crf, layout, half_precision=half_precision)
    return Calibration(temperature, report, before, after)


def _score(
    model: Student | Teacher, crf: ConstrainedCrf, featurizer: Featurizer, sentences: Sequence[Sentence]
) -> list[_Scored]:
    ordered = sorted(sentences, key=lambda sentence: len(sentence.text))
    scored = []
    with torch.no_grad():
        for begin in range(0, len(ordered), BATCH_SIZE):
            part = ordered[begin : begin + BATCH_SIZE]
            batch = make_batch(featurizer, crf.scheme, [unchanged(sentence) for sentence in part])
            emissions = model(*batch.inputs)[:, 1:-1].float()
            scored.append(_Scored(part, emissions, batch.labels, batch.mask))
    return scored


def _likeliest_temperature(crf: ConstrainedCrf, scored: Sequence[_Scored]) -> float:
    """Minimise the negative log likelihood of the gold labels, which is convex in the temperature's inverse."""
    position = torch.zeros((), requires_grad=True)
    characters = sum(int(part.mask.sum()) for part in scored)
    scores = CrfScores(*(tensor.detach() for tensor in crf.scores()))
    optimizer: Any = torch.optim.LBFGS([position], max_iter=EVALUATIONS, line_search_fn="strong_wolfe")

    def inverse() -> Tensor:
        return (math.log(FARTHEST) * torch.tanh(position)).exp()

    def loss() -> Tensor:
        total = torch.zeros(())
        slope = torch.zeros(())
        for part in scored:
            factor = inverse()
            scaled = CrfScores(*(tensor * factor for tensor in scores))
            emissions = part.emissions * factor
            gold = crf_path_scores(emissions, scaled, part.labels.unsqueeze(1), part.mask).squeeze(1)
            lost = (crf_log_partition(emissions, scaled, part.mask) - gold).sum() / characters
            slope += torch.autograd.grad(lost, position)[0]
            total += lost.detach()
        position.grad = slope
        return total

    optimizer.step(loss)
    return 1 / float(inverse().detach())


def _confidence(crf: ConstrainedCrf, scored: Sequence[_Scored]) -> Confidence:
    decoder, types = crf.decoder(), crf.scheme.entity_types
    scores: list[float] = []
    right: list[bool] = []
    for part in scored:
        # The decoder takes [CLS] and [SEP] too.
        padded = torch.nn.functional.pad(part.emissions, (0, 0, 1, 1)).numpy()
        lengths = (part.mask.sum(dim=1, keepdim=True) + 2).int().numpy()
        spans = decoder.decode(padded, lengths, [sentence.text for sentence in part.sentences])
        gold = [{(span.start, span.end, span.type) for span in sentence.spans} for sentence in part.sentences]
        for row, start, end, kind, score in zip(*(column.tolist() for column in spans), strict=True):
            scores.append(score)
            right.append((start, end, types[kind]) in gold[row])
    if not scores:
        return Confidence(0.0, 0.0, 0.0)
    found, correct = torch.tensor(scores), torch.tensor(right, dtype=torch.float32)
    bins = (found * BINS).long().clamp(max=BINS - 1)
    gaps = [float((found[bins == each] - correct[bins == each]).sum().abs()) for each in range(BINS)]
    return Confidence(float(found.mean()), float(correct.mean()), sum(gaps) / len(scores))
