"""Measure predictions on labelled sentences in several ways."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from distillex_training.data.labelled import Sentence
from distillex_training.evaluate import Report, Scores, gold_spans, judged, score, without_scores
from distillex_training.reliability import Reliability
from distillex_training.scored_span import ScoredSpan, Span


@dataclass(frozen=True)
class DomainMeasures:
    """Scores of the sentences of a domain, and how many of them there are with a fault."""

    scores: Scores
    sentences: int
    faulty: int


@dataclass(frozen=True)
class Measures:
    """Scores of spans, of sentences, and of the model's own scores."""

    report: Report
    sentences: int
    faulty: int
    """Sentences in which an entity is missed, or one found that is none."""
    without_entities: int
    """Sentences without a gold entity."""
    wrongly_filled: int
    """Those of them in which one was found."""
    reliability: Reliability
    per_group: dict[str, Scores] = field(default_factory=dict)
    """By the types that the corpus does not tell apart."""
    per_domain: dict[str, DomainMeasures] = field(default_factory=dict)
    """By what the records name as their domain; empty where none does."""

    @property
    def faulty_share(self) -> float:
        """Of all sentences."""
        return self.faulty / self.sentences


def measure(
    sentences: Sequence[Sentence],
    predicted: Sequence[Sequence[ScoredSpan]],
    groups: Sequence[Sequence[str]] = (),
) -> Measures:
    """Compare what a model found with sentences whose labels may be partial.

    Parameters
    ----------
    sentences
        Gold.
    predicted
        Non-overlapping spans of each sentence.
    groups
        Types that the gold labels do not tell apart, each group for a row of its own.

    Raises
    ------
    ValueError
        When the two have different numbers of sentences.
    """
    gold, told = gold_spans(sentences), judged(sentences, without_scores(predicted))
    report = score(gold, told)
    pairs = list(zip(map(set, gold), map(set, told), strict=True))
    domains: dict[str, list[int]] = defaultdict(list)
    for row, sentence in enumerate(sentences):
        if sentence.domain:
            domains[sentence.domain].append(row)
    empty = [found for expected, found in pairs if not expected]
    return Measures(
        report,
        sentences=len(sentences),
        faulty=sum(expected != found for expected, found in pairs),
        without_entities=len(empty),
        wrongly_filled=sum(map(bool, empty)),
        reliability=_reliability(predicted, told, gold),
        per_group={"/".join(group): _of_types(report, group) for group in groups},
        per_domain={
            domain: DomainMeasures(
                score([gold[row] for row in rows], [told[row] for row in rows]).micro,
                sentences=len(rows),
                faulty=sum(pairs[row][0] != pairs[row][1] for row in rows),
            )
            for domain, rows in sorted(domains.items())
        },
    )


def reliability_of(sentences: Sequence[Sentence], predicted: Sequence[Sequence[ScoredSpan]]) -> Reliability:
    """Tell of the spans that gold labels tell of which are right."""
    return _reliability(predicted, judged(sentences, without_scores(predicted)), gold_spans(sentences))


def _reliability(
    predicted: Sequence[Sequence[ScoredSpan]], told: Sequence[Sequence[Span]], gold: Sequence[Sequence[Span]]
) -> Reliability:
    scores: list[float] = []
    right: list[bool] = []
    for spans, counted, expected in zip(predicted, told, gold, strict=True):
        score_at = {(each.start, each.end): each.score for each in spans}
        scores += [score_at[span[:2]] for span in counted]
        right += [span in expected for span in counted]
    return Reliability(scores, right)


def _of_types(report: Report, types: Sequence[str]) -> Scores:
    counted = [report.per_type[kind] for kind in types if kind in report.per_type]
    return Scores(*(sum(getattr(each, name) for each in counted) for name in ("correct", "predicted", "gold")))
