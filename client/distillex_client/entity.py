"""An entity, and the result of extracting from one text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Entity:
    """One typed span of a text."""

    start: int
    """First code point."""
    end: int
    """One past the last code point."""
    type: str
    text: str
    """``text[start:end]`` of the caller's own text."""
    score: float
    """Posterior probability of exactly this span under the model's CRF."""


@dataclass(frozen=True)
class Extraction:
    """The answer for one text."""

    entities: tuple[Entity, ...]
    lexicon_version: str = ""
    """Which lexicons answered, such as ``base@1+finance@3``."""
    error: str | None = None
    """Why this text was refused; None where it was not."""
    request_id: str = ""
    """Id of the request that carried this text, as the server knows it."""
