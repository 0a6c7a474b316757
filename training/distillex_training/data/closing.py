"""Closing partial labels: teachers decide what a corpus leaves open, where they are certain.

A type that nearly every corpus leaves open has no negative examples and becomes the way out. So before training, what
teachers are certain of is labelled, what they are certain is no entity is closed, and the doubtful middle alone stays
open, at a lower weight.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from distillex_matcher import LabelScheme
from numpy.typing import NDArray

from distillex_training.data.batches import allowed_labels
from distillex_training.data.labelled import GoldSpan, OpenSpan, Sentence
from distillex_training.data.records import Record
from distillex_training.data.times import TIME, times_beside
from distillex_training.ensemble import Ensemble
from distillex_training.evaluate import Emissions, decode
from distillex_training.models.crf import FORBIDDEN
from distillex_training.scored_span import ScoredSpan

BATCH_SIZE = 32


@dataclass(frozen=True)
class Certainty:
    """When a teacher's word counts."""

    entity: float = 0.9
    """Posterior from which a span is an entity, or one of several types the right one."""
    nothing: float = 0.1
    """Probability of being in an entity up to which a character of an open stretch is in none."""
    open_weight: float = 0.5
    "Weight of a sentence with labels left open."


@dataclass
class Closed:
    """What closing did."""

    labelled: Counter[str] = field(default_factory=Counter)
    """Spans that were found in open stretches, by type."""
    decided: int = 0
    """Spans of several possible types of which one was certain."""
    undecided: int = 0
    open: int = 0
    """Stretches that stay open."""
    sentences: int = 0
    partial: int = 0
    """Sentences of which something stays open or undecided."""

    def __str__(self) -> str:
        found = ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.labelled.items()))
        return (
            f"{self.sentences:,} sentences; labelled: {found or 'nothing'}; of several types {self.decided:,} decided, "
            f"{self.undecided:,} not; {self.open:,} stretches stay open; {self.partial:,} sentences stay partial"
        )


def close_records(records: Sequence[Record], ensemble: Ensemble, certainty: Certainty) -> tuple[list[Record], Closed]:
    """Close what the mean of some teachers is certain of.

    Parameters
    ----------
    records
        In terms of the teachers' entity types; spans without overlaps.
    ensemble
        The teachers.
    certainty
        When its word counts.

    Returns
    -------
    tuple
        The records in their order, and what was done.
    """
    closed = Closed()
    results: list[Record] = list(records)
    sentences = [Sentence(record.text, record.spans, record.open) for record in records]
    order = [i for i, sentence in enumerate(sentences) if sentence.is_partial]
    order.sort(key=lambda i: len(sentences[i].text))
    closed.sentences = len(records)
    for begin in range(0, len(order), BATCH_SIZE):
        rows = order[begin : begin + BATCH_SIZE]
        for row, (found, inside) in zip(rows, _constrained([sentences[i] for i in rows], ensemble), strict=True):
            results[row] = _close(records[row], found, inside, certainty, closed)
    return results, closed


def close_times(records: Sequence[Record]) -> tuple[list[Record], int]:
    """Label the type ``time`` by rules where it is open, and close it there.

    Returns
    -------
    tuple
        The records in their order, and how many times were found.
    """
    results, count = [], 0
    for record in records:
        stretches = [o for o in record.open if TIME in o.types]
        found = times_beside(record.text, record.spans) if stretches else []
        spans = [time for time in found if any(o.start <= time.start and time.end <= o.end for o in stretches)]
        count += len(spans)
        rest = [dataclasses.replace(o, types=tuple(kind for kind in o.types if kind != TIME)) for o in record.open]
        results.append(
            dataclasses.replace(
                record, spans=tuple(sorted((*record.spans, *spans))), open=tuple(o for o in rest if o.types)
            )
        )
    return results, count


def _constrained(
    sentences: Sequence[Sentence], ensemble: Ensemble
) -> Iterator[tuple[list[ScoredSpan], NDArray[np.float32]]]:
    """Yield what the teachers find within the allowed labels, and how likely each character is in an entity."""
    scheme = LabelScheme(ensemble.entity_types)
    texts = [sentence.text for sentence in sentences]
    outputs = ensemble.outputs(texts)
    emissions = outputs.emissions.copy()
    for row, sentence in enumerate(sentences):
        length = len(sentence.text)
        labels = scheme.encode([(s.start, s.end, s.type) for s in sentence.spans], length)
        emissions[row, 1 : 1 + length][~allowed_labels(sentence, scheme, labels)] = FORBIDDEN
    # Gold spans need not keep to the edges of a model's.
    found = decode(ensemble.decoder, Emissions(emissions, outputs.lengths), texts, edges=False)
    marginals = ensemble.decoder.marginals(emissions, outputs.lengths)
    for row, text in enumerate(texts):
        yield found[row], 1 - marginals[row, 1 : 1 + len(text), 0]


def _close(
    record: Record, found: Sequence[ScoredSpan], inside: NDArray[np.float32], certainty: Certainty, closed: Closed
) -> Record:
    spans = []
    at = {(each.start, each.end): each for each in found}
    covered = np.zeros(len(record.text), dtype=bool)
    for span in record.spans:
        covered[span.start : span.end] = True
        decided = at.get((span.start, span.end))
        if span.also and decided is not None and decided.score >= certainty.entity:
            closed.decided += 1
            spans.append(GoldSpan(span.start, span.end, decided.type))
        else:
            closed.undecided += bool(span.also)
            spans.append(span)
    known = {(span.start, span.end) for span in record.spans}
    doubtful = (inside > certainty.nothing) & ~covered
    for each in found:
        if (each.start, each.end) not in known and each.score >= certainty.entity:
            closed.labelled[each.type] += 1
            spans.append(GoldSpan(each.start, each.end, each.type))
            doubtful[each.start : each.end] = False
    stretches = [
        OpenSpan(begin, end, types) for begin, end in _runs(doubtful) if (types := _types_within(record, begin, end))
    ]
    closed.open += len(stretches)
    partial = bool(stretches) or any(span.also for span in spans)
    closed.partial += partial
    weight = record.weight * (certainty.open_weight if partial else 1.0)
    return dataclasses.replace(record, spans=tuple(sorted(spans)), open=tuple(stretches), weight=weight)


def _types_within(record: Record, begin: int, end: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kind for o in record.open if o.start < end and begin < o.end for kind in o.types))


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    position = 0
    for value, run in groupby(flags.tolist()):
        length = len(list(run))
        if value:
            yield position, position + length
        position += length
