"""Which of the entities that were found a caller wants."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from distillex_client.entity import Entity, Extraction


@dataclass(frozen=True)
class Selection:
    """Entities of at least a score, and of some types; the default is all of them.

    It is made of what a whole text gave: the entities of a document are first put together from its windows, so that
    a selection only ever leaves some of them out.
    """

    min_score: float = 0.0
    types: Collection[str] | None = None
    """None: all types."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"min_score {self.min_score} must be from 0 to 1")
        if isinstance(self.types, str):
            raise TypeError(f"types is one str, {self.types!r}; give a list of types")
        if self.types is not None and (not self.types or "" in self.types):
            raise ValueError(f"types {list(self.types)} has no type or an empty one; None selects all types")

    def of(self, entities: Iterable[Entity]) -> list[Entity]:
        """Return those that are wanted, in their order."""
        return [
            entity
            for entity in entities
            if entity.score >= self.min_score and (self.types is None or entity.type in self.types)
        ]

    def of_extraction(self, extraction: Extraction) -> Extraction:
        """Return the answer for a text with the wanted entities alone."""
        return replace(extraction, entities=tuple(self.of(extraction.entities)))


EVERYTHING = Selection()
