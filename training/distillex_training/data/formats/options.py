"""How labelled files are read and written, where a file does not say so itself."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from distillex_training.data.records import UTF_8


class Scheme(str, enum.Enum):
    """How tags mark the borders of entities."""

    AUTO = "auto"
    BIO = "bio"
    """An entity begins with I; B only separates it from one of the same type just before (IOB1)."""
    BIO2 = "bio2"
    """An entity begins with B."""
    BIOES = "bioes"
    """B, I, E; S alone. Read as well: BMES (M inside) and BILOU (L last, U unit)."""
    BMES = "bmes"
    BILOU = "bilou"

    @property
    def has_ends(self) -> bool:
        """Tell whether the last token of an entity has a letter of its own."""
        return self in (Scheme.BIOES, Scheme.BMES, Scheme.BILOU)


class Offsets(str, enum.Enum):
    """What the offsets of spans count."""

    AUTO = "auto"
    """Code points; where a file gives the surface of a span, and it is found by another count, that count."""
    CODE_POINTS = "code-points"
    UTF_16 = "utf-16"
    """As JavaScript counts: an emoji is two."""


@dataclass(frozen=True)
class ReadingOptions:
    """A reader's options."""

    scheme: Scheme = Scheme.AUTO
    """Of tags."""
    joiner: str = ""
    """What stands between two tokens in the text: nothing for characters, a space for words."""
    encoding: str = UTF_8
    tag_names: tuple[str, ...] = ()
    """The tags, in order, where a file has their numbers alone."""
    offsets: Offsets = Offsets.AUTO
    predictions: bool = False
    """Take a model's predictions for a text that nobody has labelled."""
