"""Entity-level scores on strict spans, and how a model uses a lexicon on entities that it never saw in training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from distillex_matcher import CrfDecoder, Features, Featurizer, Lexicon, TrustedWords
from numpy.typing import NDArray
from torch import nn

from distillex_training.data import declaration
from distillex_training.data.labelled import GoldSpan, Sentence
from distillex_training.errors import NotFiniteError
from distillex_training.scored_span import ScoredSpan, Span

EmissionFunction = Callable[[Features], NDArray[np.float32]]
"""Features of a batch → emissions [B, T, L]."""


class Emissions(NamedTuple):
    """What the decoder takes of a batch beside its texts."""

    emissions: NDArray[np.float32]
    """*Shape:* [B, T, L]."""
    lengths: NDArray[np.int32]
    """*Shape:* [B, 1]."""
    trusted: TrustedWords | None = None


@dataclass(frozen=True)
class Scores:
    """Counts of strict spans (same start, end and type)."""

    correct: int
    predicted: int
    gold: int

    @property
    def precision(self) -> float:
        """Correct of predicted; 0 where nothing was predicted."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Correct of gold; 0 where there is no gold."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.predicted + self.gold
        return 2 * self.correct / total if total else 0.0


@dataclass(frozen=True)
class Report:
    """Micro scores, and scores per type."""

    micro: Scores
    per_type: dict[str, Scores]


def score(gold: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]) -> Report:
    """Compare spans ``(start, end, type)``, sentence by sentence.

    Raises
    ------
    ValueError
        When the two have different numbers of sentences.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold sentences, but {len(predicted)} predicted ones")
    counts: dict[str, Counter[str]] = {"correct": Counter(), "predicted": Counter(), "gold": Counter()}
    for gold_spans, predicted_spans in zip(gold, predicted, strict=True):
        expected, found = set(gold_spans), set(predicted_spans)
        counts["gold"].update(span[2] for span in expected)
        counts["predicted"].update(span[2] for span in found)
        counts["correct"].update(span[2] for span in expected & found)
    types = sorted(counts["gold"] | counts["predicted"])
    per_type = {t: Scores(counts["correct"][t], counts["predicted"][t], counts["gold"][t]) for t in types}
    micro = Scores(*(sum(counts[name].values()) for name in ("correct", "predicted", "gold")))
    return Report(micro, per_type)


def score_sentences(sentences: Sequence[Sentence], predicted: Sequence[Iterable[Span]]) -> Report:
    """Compare spans with sentences whose labels may be partial.

    A span may have any of the types that its gold span has; it is counted under the gold span's first type. A span that
    touches no gold span and lies in a stretch that is open for its type is counted neither as right nor as wrong.

    Raises
    ------
    ValueError
        When the two have different numbers of sentences.
    """
    return score(gold_spans(sentences), judged(sentences, predicted))


def judged(sentences: Sequence[Sentence], predicted: Sequence[Iterable[Span]]) -> list[list[Span]]:
    """Return the predicted spans that gold labels tell of, each type that may stand for a gold span's as that one.

    Raises
    ------
    ValueError
        When there are different numbers of sentences.
    """
    told: list[list[Span]] = []
    for sentence, spans in zip(sentences, predicted, strict=True):
        found = list(spans)
        counted = counted_types(sentence, found, overlapping(sentence.spans, found))
        told.append(
            [(start, end, kind) for (start, end, _), kind in zip(found, counted, strict=True) if kind is not None]
        )
    return told


def counted_types(sentence: Sentence, found: Sequence[Span], overlaps: Iterable[tuple[int, int]]) -> list[str | None]:
    """Return the type under which each found span counts; None: the gold labels do not tell of it.

    ``overlaps``: of :func:`overlapping`.
    """
    gold = {(span.start, span.end): span for span in sentence.spans}
    touching = {number for _, number in overlaps}
    counted: list[str | None] = []
    for number, (start, end, kind) in enumerate(found):
        span = gold.get((start, end))
        if span is not None and kind in span.types:
            counted.append(span.type)
        elif number in touching or not any(
            each.start <= start and end <= each.end and kind in each.types for each in sentence.open
        ):
            counted.append(kind)
        else:
            counted.append(None)
    return counted


def overlapping(gold: Sequence[GoldSpan], found: Sequence[Span]) -> list[tuple[int, int]]:
    """Return the pairs that share characters, by their numbers; in time linear in both where neither overlap."""
    by_start = sorted(range(len(found)), key=lambda number: found[number])
    pairs = []
    begin = 0
    for place, span in sorted(enumerate(gold), key=lambda numbered: numbered[1]):
        while begin < len(by_start) and found[by_start[begin]][1] <= span.start:
            begin += 1
        at = begin
        while at < len(by_start) and found[by_start[at]][0] < span.end:
            if found[by_start[at]][1] > span.start:
                pairs.append((place, by_start[at]))
            at += 1
    return pairs


def trim(
    sentences: Sequence[Sentence], predicted: Sequence[Sequence[ScoredSpan]], characters: str
) -> list[list[ScoredSpan]]:
    """Take characters off both ends of the spans; one that holds nothing else is left out."""
    if not characters:
        return [list(spans) for spans in predicted]
    kept = []
    for sentence, spans in zip(sentences, predicted, strict=True):
        bounds = [declaration.trimmed(sentence.text, each.start, each.end, characters) for each in spans]
        kept.append([each._replace(start=a, end=b) for each, (a, b) in zip(spans, bounds, strict=True) if a < b])
    return kept


def gold_spans(sentences: Iterable[Sentence]) -> list[list[Span]]:
    """Spans of each sentence as plain tuples."""
    return [[(span.start, span.end, span.type) for span in sentence.spans] for sentence in sentences]


def torch_emissions(model: nn.Module) -> EmissionFunction:
    """Wrap a PyTorch model (in evaluation mode while it is called)."""

    def run(features: Features) -> NDArray[np.float32]:
        training = model.training
        model.eval()
        with torch.no_grad():
            inputs = (
                features.input_ids,
                features.lexicon_types,
                features.lexicon_words,
                features.lexicon_weights,
            )
            device = next(model.parameters()).device
            emissions = model(*(torch.from_numpy(array).to(device) for array in inputs))
        model.train(training)
        result: NDArray[np.float32] = emissions.float().cpu().numpy()
        return result

    return run


def predict_with_scores(
    featurizer: Featurizer,
    emissions_of: EmissionFunction,
    decoder: CrfDecoder,
    texts: Sequence[str],
    *,
    overlay: Sequence[Lexicon] = (),
    trust: str | float | None = None,
    batch_size: int = 32,
) -> list[list[ScoredSpan]]:
    """Spans of each text: featurizer → model → C++ decoder, as in serving.

    ``overlay``: lexicons laid over the featurizer's base for all texts; ``trust``: of their words. Without an overlay
    the decoder need not know the layout.
    """

    def scored(batch: list[str]) -> Emissions:
        features = featurizer.featurize(
            batch, [list(overlay)] * len(batch) if overlay else None, trusts=[trust] * len(batch)
        )
        return Emissions(emissions_of(features), features.lengths, features.trusted if overlay else None)

    return predict_scored(scored, decoder, texts, batch_size=batch_size)


def predict_scored(
    scored: Callable[[list[str]], Emissions],
    decoder: CrfDecoder,
    texts: Sequence[str],
    *,
    batch_size: int = 32,
) -> list[list[ScoredSpan]]:
    """Spans of each text, from whatever scores batches of them.

    Parameters
    ----------
    scored
        Texts of similar length → what the decoder takes.
    decoder
        The C++ decoder.
    texts
        In any order.
    batch_size
        Texts scored at once.

    Raises
    ------
    NotFiniteError
        For emissions that are not finite.
    """
    predicted: list[list[ScoredSpan]] = [[] for _ in texts]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        batch = [texts[i] for i in rows]
        for row, spans in zip(rows, decode(decoder, scored(batch), batch), strict=True):
            predicted[row] = spans
    return predicted


def decode(
    decoder: CrfDecoder, scored: Emissions, texts: Sequence[str], *, edges: bool = True
) -> list[list[ScoredSpan]]:
    """Spans of each text of a batch; without ``edges``, whatever they begin and end with.

    Raises
    ------
    NotFiniteError
        For emissions that are not finite.
    """
    types = decoder.scheme.entity_types
    try:
        spans = decoder.decode(scored.emissions, scored.lengths, texts if edges else None, scored.trusted)
    except ValueError as error:
        if "not finite" not in str(error):
            raise
        raise NotFiniteError(f"the model's emissions are no finite numbers: {error}") from None
    found: list[list[ScoredSpan]] = [[] for _ in texts]
    for row, start, end, kind, posterior in zip(*(column.tolist() for column in spans), strict=True):
        found[row].append(ScoredSpan(start, end, types[kind], posterior))
    return found


def without_scores(found: Iterable[Iterable[ScoredSpan]]) -> list[list[Span]]:
    """Bounds and types alone, sentence by sentence."""
    return [[each.span for each in spans] for spans in found]


def score_found(sentences: Sequence[Sentence], found: Sequence[Sequence[ScoredSpan]], trimmed: str = "") -> Report:
    """As :func:`score_sentences`, of what a model found, after :func:`trim`."""
    return score_sentences(sentences, without_scores(trim(sentences, found, trimmed)))


def predict_and_score(
    featurizer: Featurizer,
    emissions_of: EmissionFunction,
    decoder: CrfDecoder,
    sentences: Sequence[Sentence],
    *,
    trimmed: str = "",
) -> Report:
    """Score a model on labelled sentences with the featurizer's base lexicon; ``trimmed`` as of :func:`trim`."""
    found = predict_with_scores(featurizer, emissions_of, decoder, [sentence.text for sentence in sentences])
    return score_found(sentences, found, trimmed)


def recall_by_surface(
    sentences: Sequence[Sentence], predicted: Sequence[Iterable[Span]], known_surfaces: Collection[str]
) -> tuple[Scores, Scores]:
    """Recall on seen and on unseen entities: unseen is a surface that is never an entity in the training set.

    Returns
    -------
    tuple of Scores
        (seen, unseen); only ``correct`` and ``gold`` are meaningful.
    """
    counts = {True: [0, 0], False: [0, 0]}
    for sentence, spans in zip(sentences, predicted, strict=True):
        found = set(spans)
        for span in sentence.spans:
            count = counts[sentence.text[span.start : span.end] in known_surfaces]
            count[0] += any((span.start, span.end, kind) in found for kind in span.types)
            count[1] += 1
    seen, unseen = (Scores(counts[key][0], 0, counts[key][1]) for key in (True, False))
    return seen, unseen
