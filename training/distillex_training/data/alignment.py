"""Find entities that are given only by their text in their sentence.

Each occurrence is one, the longest entities first; entities found nowhere are reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from distillex_matcher import normalize

from distillex_training.data.records import GoldSpan

EXAMPLES = 3
"""Of each kind that a line shows."""
NOWHERE = "stand nowhere in their text"
WITHIN_LONGER = "stand within longer ones only"
SEVERAL_TIMES = "stand in their text several times: each was labelled"
CONTESTED = "are named with several types: any of them counts as right"


@dataclass(frozen=True)
class Mention:
    """An entity as its text names it."""

    text: str
    type: str
    score: float = 1.0
    also: tuple[str, ...] = ()
    """Further types that it may have instead."""

    @property
    def types(self) -> tuple[str, ...]:
        """All types that it may have."""
        return self.type, *self.also


@dataclass
class Alignment:
    """Where the entities of one sentence stand."""

    spans: list[GoldSpan] = field(default_factory=list)
    """In the order of the text. A text that is named with several types has the others as ``also``."""
    missing: list[Mention] = field(default_factory=list)
    """Those that occur nowhere."""
    covered: list[Mention] = field(default_factory=list)
    """Those that occur within longer ones only."""
    repeated: list[str] = field(default_factory=list)
    """Texts that occur several times: each occurrence is labelled, and none need have been meant."""
    contested: list[str] = field(default_factory=list)
    """Texts that are named with several types."""


def align(text: str, mentions: Iterable[Mention], taken: Sequence[tuple[int, int]] = ()) -> Alignment:
    """Find entities in their sentence.

    Parameters
    ----------
    text
        The sentence.
    mentions
        Its entities. White space around them is left out. They are compared as the matcher compares words: without
        regard to width, case, or traditional and simplified forms; where the text has one exactly, it is no other's.
        What begins or ends with a Latin letter or a digit does so at a word's border: ``cat`` is not found in
        ``concatenate``.
    taken
        Stretches that are entities already.

    Examples
    --------
    >>> found = align("北京大学在北京", [Mention("北京", "place"), Mention("北京大学", "school")])
    >>> [(span.start, span.end, span.type) for span in found.spans]
    [(0, 4, 'school'), (5, 7, 'place')]
    """
    alignment = Alignment()
    occupied = list(taken)
    by_text: dict[str, list[Mention]] = {}
    for mention in mentions:
        by_text.setdefault(mention.text.strip(), []).append(mention)
    exact = {place: surface for surface in by_text for place in _occurrences(text, surface)}
    compared = normalize(text)
    for surface in sorted(by_text, key=len, reverse=True):
        named = sorted(by_text[surface], key=lambda mention: -mention.score)
        first = named[0]
        types = tuple(dict.fromkeys(kind for mention in named for kind in mention.types))
        places = sorted({*_occurrences(text, surface), *_occurrences(compared, normalize(surface))})
        apart: list[tuple[int, int]] = []
        for start, end in places:
            if exact.get((start, end), surface) != surface:
                continue  # another entity's
            if not any(start < b and a < end for a, b in (*occupied, *apart)):
                apart.append((start, end))
        if not places:
            alignment.missing += named
        elif not apart:
            alignment.covered += named
        if len(apart) > 1:
            alignment.repeated.append(surface)
        if apart and len(types) > 1:
            alignment.contested.append(surface)
        occupied += apart
        alignment.spans += [GoldSpan(start, end, types[0], types[1:], first.score) for start, end in apart]
    alignment.spans.sort()
    return alignment


def _occurrences(text: str, surface: str) -> Iterator[tuple[int, int]]:
    start = text.find(surface) if surface else -1
    while start >= 0:
        end = start + len(surface)
        if not _within_word(text, start) and not _within_word(text, end):
            yield start, end
        start = text.find(surface, start + 1)


def _within_word(text: str, border: int) -> bool:
    return 0 < border < len(text) and _is_word(text[border - 1]) and _is_word(text[border])


def _is_word(character: str) -> bool:
    return character.isascii() and character.isalnum()


@dataclass
class AlignmentReport:
    """What aligning the sentences of a file did; nothing is dropped without being counted here."""

    mentions: int = 0
    spans: int = 0
    wrong_offsets: int = 0
    """Entities whose offsets hold another text than theirs: they are found by their text."""
    found: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Of each kind, where it was found and of which entity."""

    def add(self, where: str, alignment: Alignment) -> None:
        """Count a sentence's."""
        named = {span.types for span in alignment.spans}
        self.spans += len(alignment.spans)
        found = (
            (NOWHERE, [f"{m.text!r} {m.type}" for m in alignment.missing]),
            (WITHIN_LONGER, [f"{m.text!r} {m.type}" for m in alignment.covered]),
            (SEVERAL_TIMES, [repr(each) for each in alignment.repeated]),
            (
                CONTESTED,
                [f"{each!r} {', '.join(types)}" for each in alignment.contested for types in named if len(types) > 1],
            ),
        )
        for what, which in found:
            self.found.setdefault(what, []).extend((where, each) for each in which)

    def lines(self) -> list[str]:
        """One line a fact, each with its first examples; none where every entity had its place."""
        if not self.mentions:
            return []
        lines = [f"{self.mentions:,} entities were given by their text: {self.spans:,} spans"]
        if self.wrong_offsets:
            lines.append(f"{self.wrong_offsets:,} of them had offsets that hold another text")
        for what, each in self.found.items():
            if each:
                examples = "; ".join(f"{where}: {entity}" for where, entity in each[:EXAMPLES])
                lines.append(f"{len(each):,} of them {what}; such as {examples}")
        return lines
