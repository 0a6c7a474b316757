"""Counts of labelled files: sentences, lengths, entities per type, and what the development file holds of the new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from distillex_training.data.records import Record

PERCENTILES = (50, 90, 99, 100)


@dataclass(frozen=True)
class TypeStats:
    """One entity type in one file."""

    entities: int
    surfaces: int
    """Different surfaces."""
    unseen: int | None
    """Entities whose surface is no entity of the training file; None for the training file itself."""


@dataclass(frozen=True)
class FileStats:
    """One file."""

    name: str
    sentences: int
    characters: int
    without_entities: int
    lengths: tuple[int, ...]
    """Sentence lengths in characters at :data:`PERCENTILES`."""
    entity_lengths: tuple[int, ...]
    """The same of entities."""
    types: dict[str, TypeStats]

    @property
    def entities(self) -> int:
        """All entities."""
        return sum(each.entities for each in self.types.values())

    @property
    def unseen(self) -> int | None:
        """Entities whose surface is no entity of the training file."""
        counts = [each.unseen for each in self.types.values()]
        return None if None in counts else sum(count or 0 for count in counts)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"percentiles": PERCENTILES, "entities": self.entities, "unseen": self.unseen}


def percentiles(values: Sequence[int]) -> tuple[int, ...]:
    """Return the values at :data:`PERCENTILES` (nearest rank); zeros for none."""
    ordered = sorted(values)
    if not ordered:
        return (0,) * len(PERCENTILES)
    return tuple(ordered[max(0, -(-len(ordered) * p // 100) - 1)] for p in PERCENTILES)


def surfaces_of(records: Sequence[Record]) -> frozenset[str]:
    """All entity surfaces."""
    return frozenset(record.text[span.start : span.end] for record in records for span in record.spans)


def file_stats(name: str, records: Sequence[Record], known_surfaces: frozenset[str] | None = None) -> FileStats:
    """Count; ``known_surfaces`` are those of the training file, where this is not it."""
    entities: Counter[str] = Counter()
    unseen: Counter[str] = Counter()
    surfaces: dict[str, set[str]] = {}
    lengths = []
    for record in records:
        for span in record.spans:
            surface = record.text[span.start : span.end]
            entities[span.type] += 1
            surfaces.setdefault(span.type, set()).add(surface)
            unseen[span.type] += known_surfaces is not None and surface not in known_surfaces
            lengths.append(span.end - span.start)
    return FileStats(
        name,
        len(records),
        sum(len(record.text) for record in records),
        sum(not record.spans for record in records),
        percentiles([len(record.text) for record in records]),
        percentiles(lengths),
        {
            kind: TypeStats(count, len(surfaces[kind]), None if known_surfaces is None else unseen[kind])
            for kind, count in entities.most_common()
        },
    )
