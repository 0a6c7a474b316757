"""What ``distillex evaluate`` prints, and what it writes as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distillex_training.data.measured import MeasuredFile
from distillex_training.evaluate import Scores
from distillex_training.lexicon_evaluation import ConditionResult
from distillex_training.measures import Measures

BASE = "base"
"""The condition that the tables beside the first one are of."""


def with_base(results: Sequence[ConditionResult]) -> Measures:
    """Return what was measured with the base lexicon alone."""
    return next(result.measures for result in results if result.condition == BASE)


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
    measures = with_base(results)
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
    reliability = measures.reliability
    yield (
        f"scores: mean {reliability.mean_score:.4f} at a precision of {reliability.precision:.4f}, calibration error "
        f"{reliability.calibration_error:.4f}"
    )


def figures(model: Path, file: MeasuredFile, results: Sequence[ConditionResult]) -> list[dict[str, Any]]:
    """Return an object a condition, for JSON; ``model``: what was measured, by the path that was given."""
    listed = []
    for result in results:
        measures, micro = result.measures, result.report.micro
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
                "mean_score": measures.reliability.mean_score,
                "calibration_error": measures.reliability.calibration_error,
                "reliability": [dataclasses.asdict(each) for each in measures.reliability.bins],
            }
        )
    return listed


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
