"""Two models on the same sentences: their scores, whether the difference is chance, and where they differ."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from distillex_training.bootstrap import RESAMPLES, PairedBootstrap, paired_bootstrap
from distillex_training.data.labelled import Sentence
from distillex_training.data.measured import MeasuredFile
from distillex_training.evaluate import Report, gold_spans, judged, score, trim, without_scores
from distillex_training.evaluation_page import found_reading, gold_reading
from distillex_training.scored_span import ScoredSpan, Span
from distillex_training.sentence_page import PageTable, ShownSentence, sentence_page
from distillex_training.span_errors import pairs_of


class Difference(str, enum.Enum):
    """Which of two models is right about a sentence in which they differ."""

    FIRST = "A right"
    SECOND = "B right"
    NEITHER = "neither right"


MEANINGS = {
    Difference.FIRST: "A finds all entities of the sentence and no other, B does not",
    Difference.SECOND: "B finds all entities of the sentence and no other, A does not",
    Difference.NEITHER: "both have an error, not the same",
}


@dataclass(frozen=True)
class Measured:
    """One of the two: what it is, what it found, and what that is worth."""

    name: str
    found: list[list[ScoredSpan]]
    """Trimmed."""
    told: list[list[Span]]
    """What the gold labels tell of, by the types under which it counts."""
    report: Report


@dataclass(frozen=True)
class Comparison:
    """What two models find in the same sentences."""

    file: MeasuredFile
    first: Measured
    second: Measured
    bootstrap: PairedBootstrap
    differences: dict[int, Difference]
    """By the sentence's number, from 0, in order."""

    def count(self, difference: Difference) -> int:
        """Return how many sentences differ so."""
        return sum(each is difference for each in self.differences.values())


def compare(
    file: MeasuredFile,
    names: tuple[str, str],
    found: tuple[list[list[ScoredSpan]], list[list[ScoredSpan]]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 1,
) -> Comparison:
    """Compare what two models found in each sentence of a file.

    Parameters
    ----------
    file
        Gold.
    names, found
        What they are called, and what they found, sentence by sentence.
    resamples, seed
        As of :func:`~distillex_training.bootstrap.paired_bootstrap`.
    """
    gold = gold_spans(file.sentences)
    first, second = (_measured(file, name, each) for name, each in zip(names, found, strict=True))
    counts = [
        np.array([(len(set(g) & set(t)), len(set(t)), len(set(g))) for g, t in zip(gold, each.told, strict=True)])
        for each in (first, second)
    ]
    bootstrap = paired_bootstrap(*counts, resamples=resamples, seed=seed)
    differences = {}
    for number, (expected, one, other) in enumerate(zip(gold, first.told, second.told, strict=True)):
        if set(one) != set(other):
            differences[number] = (
                Difference.FIRST
                if set(one) == set(expected)
                else Difference.SECOND
                if set(other) == set(expected)
                else Difference.NEITHER
            )
    return Comparison(file, first, second, bootstrap, differences)


def _measured(file: MeasuredFile, name: str, found: list[list[ScoredSpan]]) -> Measured:
    trimmed = trim(file.sentences, found, file.trim)
    told = judged(file.sentences, without_scores(trimmed))
    return Measured(name, trimmed, told, score(gold_spans(file.sentences), told))


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Tables in Markdown, and sentences."""
    yield from comparison.file.lines()
    for title, head, rows in (_scores(comparison), _types(comparison)):
        yield f"\n{title}:\n"
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' * len(head)}"
        yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""
    yield from _said(comparison)


def comparison_page(comparison: Comparison) -> str:
    """Return the sentences in which the two differ, as an HTML page."""
    sentences = comparison.file.sentences
    return sentence_page(
        "Where two models differ",
        (f"On {comparison.file.report.path}. Dashed: not right.", *_said(comparison)),
        [PageTable(*each) for each in (_scores(comparison), _types(comparison))],
        {each.value: MEANINGS[each] for each in Difference},
        [
            _shown(number, sentences[number], comparison, difference)
            for number, difference in comparison.differences.items()
        ],
    )


def comparison_figures(comparison: Comparison) -> dict[str, Any]:
    """Return all figures, and the sentences in which the two differ, for JSON."""
    bootstrap = comparison.bootstrap
    return {
        "data": str(comparison.file.report.path),
        "sentences": len(comparison.file.sentences),
        "a": _figures(comparison.first),
        "b": _figures(comparison.second),
        "f1_difference": bootstrap.difference,
        "interval_95": [bootstrap.low, bootstrap.high],
        "p_value": bootstrap.p_value,
        "resamples": bootstrap.resamples,
        "seed": bootstrap.seed,
        "differences": [
            {
                "sentence": number + 1,
                "text": comparison.file.sentences[number].text,
                "right": {Difference.FIRST: "a", Difference.SECOND: "b", Difference.NEITHER: None}[difference],
                "gold": _entities(gold_spans([comparison.file.sentences[number]])[0]),
                "a": _entities(each.span for each in comparison.first.found[number]),
                "b": _entities(each.span for each in comparison.second.found[number]),
            }
            for number, difference in comparison.differences.items()
        ],
    }


def _said(comparison: Comparison) -> Iterator[str]:
    found = comparison.bootstrap
    yield (
        f"F1 of B less that of A: {found.difference:+.4f}, 95 % interval {found.low:+.4f} to {found.high:+.4f}, "
        f"p = {found.p_value:.4f} (paired bootstrap over {len(comparison.file.sentences):,} sentences, "
        f"{found.resamples:,} resamples, seed {found.seed})"
    )
    first, second, neither = (comparison.count(each) for each in Difference)
    yield (
        f"they differ in {len(comparison.differences):,} sentences: A alone is right in {first:,}, B alone in "
        f"{second:,}, neither in {neither:,}"
    )


def _scores(comparison: Comparison) -> tuple[str, list[str], list[list[str]]]:
    rows = []
    for letter, each in (("A", comparison.first), ("B", comparison.second)):
        micro = each.report.micro
        rows.append([f"{letter}: {each.name}", *(f"{n:.4f}" for n in (micro.f1, micro.precision, micro.recall))])
    return "strict spans", ["", "F1", "precision", "recall"], rows


def _types(comparison: Comparison) -> tuple[str, list[str], list[list[str]]]:
    first, second = (each.report.per_type for each in (comparison.first, comparison.second))
    rows = []
    for kind in sorted(first.keys() | second.keys()):
        one, other = (each[kind].f1 if kind in each else 0.0 for each in (first, second))
        gold = next(each[kind].gold for each in (first, second) if kind in each)
        rows.append([kind, f"{one:.4f}", f"{other:.4f}", f"{other - one:+.4f}", f"{gold:,}"])
    return "F1 per type", ["type", "A", "B", "B − A", "gold"], rows


def _figures(measured: Measured) -> dict[str, Any]:
    micro = measured.report.micro
    return {
        "name": measured.name,
        "f1": micro.f1,
        "precision": micro.precision,
        "recall": micro.recall,
        "per_type_f1": {kind: each.f1 for kind, each in measured.report.per_type.items()},
    }


def _entities(spans: Iterable[Span]) -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "type": kind} for start, end, kind in spans]


def _shown(number: int, sentence: Sentence, comparison: Comparison, difference: Difference) -> ShownSentence:
    found = [each.found[number] for each in (comparison.first, comparison.second)]
    pairs = [pairs_of(sentence, each) for each in found]
    readings = [found_reading(name, *each) for name, each in zip("AB", zip(found, pairs, strict=True), strict=True)]
    return ShownSentence(
        f"sentence {number + 1:,}",
        sentence.text,
        (gold_reading(sentence), *readings),
        {difference.value: 1},
    )
