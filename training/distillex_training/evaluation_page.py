"""The HTML report of ``distillex evaluate``: the sentences with an error, gold and found entities in each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from distillex_training.data.labelled import GoldSpan, Sentence
from distillex_training.data.measured import MeasuredFile
from distillex_training.evaluation_report import confusion_columns, confusion_rows, pairs_in
from distillex_training.lexicon_evaluation import ConditionResult
from distillex_training.scored_span import ScoredSpan
from distillex_training.sentence_page import Mark, PageTable, Reading, ShownSentence, sentence_page
from distillex_training.span_errors import ERRORS, Outcome, Pair, count_errors

MEANINGS = {
    Outcome.BOUNDARY: "found with other bounds and the right type",
    Outcome.TYPE: "found with the right bounds and another type",
    Outcome.BOUNDARY_AND_TYPE: "found with other bounds and another type",
    Outcome.MISSED: "gold, and nothing found goes with it",
    Outcome.INVENTED: "found, and nothing gold goes with it",
}


def evaluation_page(model: Path, file: MeasuredFile, result: ConditionResult) -> str:
    """Return the page.

    Parameters
    ----------
    model
        What was measured, by the path that was given.
    file
        The sentences.
    result
        What was found in them.
    """
    pairs = pairs_in(file, result)
    counts = count_errors(pairs)
    rows = confusion_rows(counts)
    columns = confusion_columns(rows)
    outcomes = [each for each in Outcome if counts.outcomes[each]]
    micro = result.report.micro
    return sentence_page(
        "Errors by sentence",
        (
            f"{model} on {file.report.path}, lexicon: {result.condition}.",
            f"F1 {micro.f1:.4f}, precision {micro.precision:.4f}, recall {micro.recall:.4f}. Dashed: not right.",
        ),
        (
            PageTable(
                "entities",
                [each.value for each in outcomes],
                [[f"{counts.outcomes[each]:,}" for each in outcomes]],
            ),
            PageTable(
                "types: gold in rows, found in columns; two types where the bounds are equal",
                ["", *columns],
                [[name, *(f"{row[each]:,}" if each in row else "" for each in columns)] for name, row in rows.items()],
            ),
        ),
        {each.value: MEANINGS[each] for each in ERRORS},
        [
            _shown(number, sentence, found, of_sentence)
            for number, (sentence, found, of_sentence) in enumerate(
                zip(file.sentences, result.predicted, pairs, strict=True), start=1
            )
            if any(each.outcome in ERRORS for each in of_sentence)
        ],
    )


def gold_reading(sentence: Sentence, pairs: Sequence[Pair] = ()) -> Reading:
    """Return the gold entities; those that were not found as such are wrong."""
    outcomes = {each.gold: each.outcome for each in pairs if each.gold is not None}
    return Reading("gold", [_gold_mark(span, outcomes.get(span)) for span in sentence.spans])


def found_reading(name: str, found: Sequence[ScoredSpan], pairs: Sequence[Pair]) -> Reading:
    """Return what a model found; what is no gold entity is wrong."""
    outcomes = {each.found: each.outcome for each in pairs if each.found is not None}
    return Reading(
        name,
        [
            Mark(each.start, each.end, each.type, _note(each, outcomes[each]), outcomes[each] in ERRORS)
            for each in found
        ],
    )


def _gold_mark(span: GoldSpan, outcome: Outcome | None) -> Mark:
    note = "/".join(span.types) + (f": {outcome.value}" if outcome else "")
    return Mark(span.start, span.end, span.type, note, outcome in ERRORS)


def _note(found: ScoredSpan, outcome: Outcome) -> str:
    score = "" if math.isnan(found.score) else f", score {found.score:.2f}"
    return f"{found.type}{score}: {outcome.value}"


def _shown(number: int, sentence: Sentence, found: Sequence[ScoredSpan], pairs: Sequence[Pair]) -> ShownSentence:
    kinds = Counter(each.outcome for each in pairs)
    return ShownSentence(
        f"sentence {number:,}",
        sentence.text,
        (gold_reading(sentence, pairs), found_reading("found", found, pairs)),
        {each.value: kinds[each] for each in ERRORS if kinds[each]},
    )
