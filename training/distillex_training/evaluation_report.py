"""What ``distillex evaluate`` prints, and what it writes as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distillex_training.data.measured import MeasuredFile
from distillex_training.evaluate import Scores
from distillex_training.lexicon_evaluation import ConditionResult
from distillex_training.span_errors import NONE, OTHER_BOUNDS, ErrorCounts, Outcome, Pair, count_errors, pairs_of

BASE = "base"
"""The condition that the tables beside the first one are of."""


def with_base(results: Sequence[ConditionResult]) -> ConditionResult:
    """Return what was measured with the base lexicon alone."""
    return next(result for result in results if result.condition == BASE)


def pairs_in(file: MeasuredFile, result: ConditionResult) -> list[list[Pair]]:
    """Return what became of each entity of each sentence under a lexicon condition."""
    return [pairs_of(*each) for each in zip(file.sentences, result.predicted, strict=True)]


def report_lines(file: MeasuredFile, results: Sequence[ConditionResult]) -> Iterator[str]:
    """Tables in Markdown, and sentences; a dash where there are no such entities."""
    yield from file.lines()
    yield "| lexicon | entries added | F1 | precision | recall | recall, seen | recall, unseen |"
    yield "|---|---|---|---|---|---|---|"
    for result in results:
        micro = result.report.micro
        yield (
            f"| {result.condition} | {result.entries:,} | {micro.f1:.4f} | {micro.precision:.4f} | {micro.recall:.4f} "
            f"| {_recall(result.seen)} | {_recall(result.unseen)} |"
        )
    measures = with_base(results).measures
    yield "\nper type, with the base lexicon:\n"
    yield from _table("type", measures.report.per_type)
    if any(len(group) > 1 for group in file.groups):
        yield "\ntypes that the declaration does not tell apart, together:\n"
        yield from _table("types", measures.per_group)
    if measures.per_domain:
        yield "\nper domain:\n"
        yield "| domain | F1 | precision | recall | gold | sentences | with a fault |"
        yield "|---|---|---|---|---|---|---|"
        for name, each in measures.per_domain.items():
            yield f"| {name} | {_cells(each.scores)} | {each.sentences} | {each.faulty} |"
    yield (
        f"\n{measures.faulty:,} of {measures.sentences:,} sentences with a fault "
        f"({measures.faulty_share:.1%}); an entity found in {measures.wrongly_filled:,} of the "
        f"{measures.without_entities:,} without any"
    )
    yield from error_lines(count_errors(pairs_in(file, with_base(results))))
    reliability = measures.reliability
    yield (
        f"\nscores: mean {reliability.mean_score:.4f} at a precision of {reliability.precision:.4f}, calibration error "
        f"{reliability.calibration_error:.4f}"
    )


def figures(model: Path, file: MeasuredFile, results: Sequence[ConditionResult]) -> list[dict[str, Any]]:
    """Return an object a condition, for JSON; ``model``: what was measured, by the path that was given."""
    listed = []
    for result in results:
        measures, micro = result.measures, result.report.micro
        errors = count_errors(pairs_in(file, result))
        listed.append(
            {
                "model": str(model),
                "data": str(file.report.path),
                "lexicon": result.condition,
                "entries": result.entries,
                "f1": micro.f1,
                "precision": micro.precision,
                "recall": micro.recall,
                "recall_seen": result.seen.recall,
                "recall_unseen": result.unseen.recall,
                "per_type_f1": {kind: scores.f1 for kind, scores in result.report.per_type.items()},
                "per_type": {kind: _numbers(scores) for kind, scores in result.report.per_type.items()},
                "per_group": {name: _numbers(scores) for name, scores in measures.per_group.items()},
                "per_domain": {
                    name: {**_numbers(each.scores), "sentences": each.sentences, "faulty_sentences": each.faulty}
                    for name, each in measures.per_domain.items()
                },
                "left_out": dict(file.left_out),
                "sentences": measures.sentences,
                "faulty_sentences": measures.faulty,
                "faulty_share": measures.faulty_share,
                "sentences_without_entities": measures.without_entities,
                "wrongly_filled_sentences": measures.wrongly_filled,
                "outcomes": {each.value: errors.outcomes[each] for each in Outcome},
                "confusion": confusion_rows(errors),
                "mean_score": measures.reliability.mean_score,
                "calibration_error": measures.reliability.calibration_error,
                "reliability": [dataclasses.asdict(each) for each in measures.reliability.bins],
            }
        )
    return listed


def error_lines(errors: ErrorCounts) -> Iterator[str]:
    """Tables of the errors by kind, and of the types that are confused."""
    yield "\nwhat became of the entities (the documentation, Train, says what each kind is):\n"
    yield "| | gold | found |"
    yield "|---|---|---|"
    for outcome in Outcome:
        count = errors.outcomes[outcome]
        if count or outcome is not Outcome.NOT_JUDGED:
            gold = "–" if outcome in (Outcome.INVENTED, Outcome.NOT_JUDGED) else f"{count:,}"
            yield f"| {outcome.value} | {gold} | {'–' if outcome is Outcome.MISSED else f'{count:,}'} |"
    rows = confusion_rows(errors)
    columns = confusion_columns(rows)
    yield "\ntypes: gold in rows, found in columns; two types where the bounds are equal:\n"
    yield f"| | {' | '.join(columns)} |"
    yield f"|{'---|' * (1 + len(columns))}"
    for name, row in rows.items():
        yield f"| {name} | {' | '.join(f'{row[each]:,}' if each in row else '' for each in columns)} |"


def confusion_rows(errors: ErrorCounts) -> dict[str, dict[str, int]]:
    """Return how often what is gold (in the outer dictionary) was found as what: types, then the words for neither."""
    rows: dict[str, dict[str, int]] = {}
    for gold, found in sorted(errors.confusion, key=lambda cell: tuple(map(_types_first, cell))):
        rows.setdefault(gold, {})[found] = errors.confusion[gold, found]
    return rows


def confusion_columns(rows: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return all that was found, in the order of the rows."""
    return sorted({name for row in rows.values() for name in row}, key=_types_first)


def _types_first(name: str) -> tuple[int, str]:
    return (OTHER_BOUNDS, NONE).index(name) + 1 if name in (OTHER_BOUNDS, NONE) else 0, name


def _table(title: str, rows: Mapping[str, Scores]) -> Iterator[str]:
    yield f"| {title} | F1 | precision | recall | gold |"
    yield "|---|---|---|---|---|"
    for name, scores in rows.items():
        yield f"| {name} | {_cells(scores)} |"


def _cells(scores: Scores) -> str:
    f1 = f"{scores.f1:.4f}" if scores.gold else "–"
    precision = f"{scores.precision:.4f}" if scores.gold or scores.predicted else "–"
    return f"{f1} | {precision} | {_recall(scores)} | {scores.gold}"


def _numbers(scores: Scores) -> dict[str, float]:
    return {"f1": scores.f1, "precision": scores.precision, "recall": scores.recall, "gold": scores.gold}


def _recall(scores: Scores) -> str:
    return f"{scores.recall:.4f}" if scores.gold else "–"
