"""Classify each gold and each found entity: right, or a kind of error.

The kinds are those that Manning tells apart ("Doing Named Entity Recognition? Don't optimize for F1", 2006): label
errors, boundary errors, both at once, false negatives and false positives.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from distillex_training.data.labelled import GoldSpan, Sentence
from distillex_training.evaluate import counted_types, overlapping
from distillex_training.scored_span import ScoredSpan


class Outcome(str, enum.Enum):
    """What became of an entity."""

    RIGHT = "right"
    """A gold and a found entity of the same bounds and type."""
    BOUNDARY = "boundary"
    """A gold and a found entity of one type that share characters, of other bounds."""
    TYPE = "type"
    """A gold and a found entity of the same bounds, of other types."""
    BOUNDARY_AND_TYPE = "boundary and type"
    """A gold and a found entity that share characters, of other bounds and other types."""
    MISSED = "missed"
    """A gold entity that goes with no found one."""
    INVENTED = "invented"
    """A found entity that goes with no gold one."""
    NOT_JUDGED = "not judged"
    """A found entity of which partial labels do not say whether it is one."""


ERRORS = (Outcome.BOUNDARY, Outcome.TYPE, Outcome.BOUNDARY_AND_TYPE, Outcome.MISSED, Outcome.INVENTED)
OTHER_BOUNDS, NONE = "(other bounds)", "(none)"
"""In the confusion table: an entity goes with one of other bounds, or with none."""


@dataclass(frozen=True)
class Pair:
    """A gold entity and the found one that goes with it; None where there is none."""

    outcome: Outcome
    gold: GoldSpan | None
    found: ScoredSpan | None


@dataclass(frozen=True)
class ErrorCounts:
    """How often each thing happened."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By what is gold and what was found: two types (of equal bounds), or one and ``OTHER_BOUNDS`` or ``NONE``."""


def pairs_of(sentence: Sentence, found: Sequence[ScoredSpan]) -> list[Pair]:
    """Return what became of all entities of a sentence, each gold and each found one once, in the order of the text.

    Entities of equal bounds go together. Of the others those that share characters do, one with one: of several
    choices the pair of one type, then the one that shares most characters, then the leftmost.

    Parameters
    ----------
    sentence
        Gold.
    found
        Spans that do not overlap.
    """
    gold = sentence.spans
    overlaps = overlapping(gold, [each.span for each in found])
    counted = counted_types(sentence, [each.span for each in found], overlaps)

    def preference(numbers: tuple[int, int]) -> tuple[bool, bool, int, int, int]:
        span, each = gold[numbers[0]], found[numbers[1]]
        shared = min(span.end, each.end) - max(span.start, each.start)
        return not _same_bounds(span, each), each.type not in span.types, -shared, span.start, each.start

    pairs: list[Pair] = []
    gold_left, found_left = dict(enumerate(gold)), dict(enumerate(found))
    for place, number in sorted(overlaps, key=preference):
        if place in gold_left and number in found_left:
            span, each = gold_left.pop(place), found_left.pop(number)
            pairs.append(Pair(_outcome(span, each), span, each))
    pairs += [Pair(Outcome.MISSED, span, None) for span in gold_left.values()]
    for number, each in found_left.items():
        pairs.append(Pair(Outcome.NOT_JUDGED if counted[number] is None else Outcome.INVENTED, None, each))
    return sorted(pairs, key=_place)


def count_errors(pairs: Sequence[Sequence[Pair]]) -> ErrorCounts:
    """Count what became of the entities of several sentences."""
    counts = ErrorCounts()
    for pair in (each for sentence in pairs for each in sentence):
        counts.outcomes[pair.outcome] += 1
        counts.confusion.update(_cells(pair))
    return counts


def _same_bounds(span: GoldSpan, found: ScoredSpan) -> bool:
    return (span.start, span.end) == (found.start, found.end)


def _outcome(span: GoldSpan, found: ScoredSpan) -> Outcome:
    if found.type in span.types:
        return Outcome.RIGHT if _same_bounds(span, found) else Outcome.BOUNDARY
    return Outcome.TYPE if _same_bounds(span, found) else Outcome.BOUNDARY_AND_TYPE


def _cells(pair: Pair) -> list[tuple[str, str]]:
    """Return where a pair stands in the confusion table."""
    if pair.outcome is Outcome.NOT_JUDGED:
        return []
    if pair.gold is None or pair.found is None:
        return [(pair.gold.type if pair.gold else NONE, pair.found.type if pair.found else NONE)]
    if pair.outcome is Outcome.RIGHT:
        return [(pair.gold.type, pair.gold.type)]
    if pair.outcome is Outcome.TYPE:
        return [(pair.gold.type, pair.found.type)]
    return [(pair.gold.type, OTHER_BOUNDS), (OTHER_BOUNDS, pair.found.type)]


def _place(pair: Pair) -> tuple[int, int]:
    return min((each.start, each.end) for each in (pair.gold, pair.found) if each is not None)
