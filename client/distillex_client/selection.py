"""Select entities by score and type."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

from distillex_client.entity import Entity, Extraction


@dataclass(frozen=True)
class Selection:
    """Entities of at least a score, and of some types; the default is all of them.

    It is made of what a whole text gave: the entities of a document are first put together from its windows, so that
    a selection only ever leaves some of them out.
    """

    min_score: float = 0.0
    types: Iterable[str] | None = None
    """None: all types."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "min_score", checked_score(self.min_score))
        object.__setattr__(self, "types", checked_types(self.types))
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"min_score {self.min_score:g} must be from 0 to 1")
        if self.types is not None and (not self.types or "" in self.types):
            raise ValueError(f"types {sorted(self.types)} has no type or an empty one; None selects all types")

    def of(self, entities: Iterable[Entity]) -> list[Entity]:
        """Return those that are wanted, in their order."""
        kinds = cast("frozenset[str] | None", self.types)
        return [
            entity for entity in entities if entity.score >= self.min_score and (kinds is None or entity.type in kinds)
        ]

    def of_extraction(self, extraction: Extraction) -> Extraction:
        """Return the answer for a text with the wanted entities alone."""
        if self.types is None and self.min_score == 0:
            return extraction
        return replace(extraction, entities=tuple(self.of(extraction.entities)))


def checked_score(score: object) -> float:
    """Return the lowest score that is wanted, as a float.

    Raises
    ------
    TypeError
        For what is no number; shows the right form.
    """
    if isinstance(score, bool) or not isinstance(score, numbers.Real):
        raise TypeError(f"min_score is {score!r}, a {type(score).__name__}; give a number from 0 to 1, such as 0.9")
    return float(score)


def checked_types(types: object) -> frozenset[str] | None:
    """Return the types that are wanted; an iterator, which can be read once only, is read here.

    Raises
    ------
    TypeError
        For what is no collection of names; shows the right form.
    """
    form = 'give the names of types, such as ["company", "name"]; None selects all types'
    if types is None:
        return None
    if isinstance(types, (str, bytes, bytearray)):
        raise TypeError(f"types is one {type(types).__name__}, {types!r}; {form}")
    if not isinstance(types, Iterable):
        raise TypeError(f"types is {types!r}, a {type(types).__name__}; {form}")
    names = list(types)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"types holds {name!r}, which is {type(name).__name__} and not str; {form}")
    return frozenset(names)


EVERYTHING = Selection()
