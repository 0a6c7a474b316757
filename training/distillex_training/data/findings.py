"""What ``distillex data check`` can find, and how grave each is."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """Kinds of findings: (name, whether training or the figures suffer from it, what it means)."""

    BAD_RECORD = ("bad-record", True, "training refuses these records")
    NO_ENTITY = ("no-entity", True, "files in which nothing is labelled: training refuses them")
    UNKNOWN_LABEL = ("unknown-label", True, "labels of the development file that the training file never uses")
    UNDECLARED = ("undeclared", True, "labels that the declaration does not know: training refuses their records")
    NO_TYPE_IN_COMMON = ("no-type-in-common", True, "labels of which the model has no type: training refuses the file")
    LEAK = ("leak", True, "sentences in both files, compared without case, width and white space")
    NEVER_LABELLED = ("never-labelled", False, "types that are declared, but stand in no file")
    NOT_TOLD_OF = (
        "not-told-of",
        False,
        "types of the model that the declaration neither names nor leaves open: training takes them for absent",
    )
    LABEL_TYPO = ("label-typo", False, "label names that look like slips of other ones")
    RARE_LABEL = ("rare-label", False, "labels with hardly any entity in one of the files")
    FOREIGN_TYPE = ("foreign-type", False, "types that the model lacks: training takes their entities for none")
    NOT_LABELLED = ("not-labelled", False, "types of the model that the file does not label: they stay open in it")
    NOT_FOUND = ("not-found", False, "entities whose text stands nowhere in the sentence: their type stays open in it")
    WITHIN_LONGER = ("within-longer", False, "entities whose text stands within longer ones only: left out")
    SEVERAL_TIMES = ("several-times", False, "entities given by a text that stands there repeatedly: each is labelled")
    CONTESTED = ("contested", False, "entities given with several types: any of them counts as right")
    OVERLAP = ("overlap", False, "overlapping spans: training keeps the longer, then the earlier one")
    REPEATED_SPAN = ("repeated-span", False, "spans named twice: training counts them once")
    WHITE_SPACE = ("white-space", False, "spans that begin or end with white space")
    OVERLONG = ("overlong", False, "sentences over the limit: training splits them")
    DUPLICATE = ("duplicate", False, "sentences that stand in a file more than once with the same labels")
    CONFLICT = ("conflict", False, "sentences that stand in a file more than once with different labels")
    INCONSISTENT = ("inconsistent", False, "surfaces that bear different labels in different places")

    def __init__(self, title: str, is_error: bool, meaning: str) -> None:
        self.title = title
        self.is_error = is_error
        self.meaning = meaning


@dataclass(frozen=True)
class Finding:
    """One thing that a person should look at."""

    kind: Kind
    where: str
    """``file:line``, or a file."""
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"
