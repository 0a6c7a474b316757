"""Sentences made from those that are there: entities exchanged for others of their type.

Mention replacement (Dai and Adel, *An Analysis of Simple Data Augmentation for Named Entity Recognition*, COLING 2020):
for text that a teacher labels afterwards, as the augmented text of *TinyBERT* (Jiao et al., Findings of EMNLP 2020) is,
with a share of mentions that are new, the beginning of one and the end of another of the same type; and afresh in each
epoch, the labels kept.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from distillex_training.data.labelled import GoldSpan, Sentence
from distillex_training.data.records import overlaps

LISTED = 0.5
"""Share of the exchanged entities whose place a word of a list takes, where there are lists of its type."""
EXCHANGED = 0.5
"""Share of a sentence's entities that are exchanged; at least one is."""
FRUITLESS_PASSES = 200
"""Passes over all sentences without a new one after which there are taken to be no more."""


@dataclass(frozen=True)
class Exchanged:
    """A sentence in which entities were exchanged."""

    sentence: Sentence
    origins: tuple[int, ...]
    """For each character its place in the sentence as it was; -1 for one that is new."""


class MentionExchanger:
    """Exchanges entities of sentences for mentions of the same type."""

    def __init__(
        self,
        mentions: Iterable[tuple[str, str]],
        longest: int,
        lists: Mapping[str, Sequence[Sequence[str]]] | None = None,
    ) -> None:
        """Take what may stand for an entity.

        Parameters
        ----------
        mentions
            Pairs of surface and type.
        longest
            What would be longer stays as it is. Code points.
        lists
            Word lists by type; a list is drawn, then a word of it.
        """
        self._choices = Mentions(mentions, lists or {})
        self._longest = longest

    def draw(self, sentence: Sentence, generator: random.Random) -> Exchanged:
        """Return the sentence with about half of its entities exchanged.

        Overlapping ones stay as they are, and so do those of several possible types and partially labelled sentences.
        """
        spans = [] if sentence.open else disjoint(sentence.spans)
        if spans:
            drawn = _exchange(sentence.text, spans, self._choices, 0.0, generator)
            if len(drawn.sentence.text) <= self._longest:
                return dataclasses.replace(drawn, sentence=dataclasses.replace(drawn.sentence, weight=sentence.weight))
        return unchanged(sentence)


class Mentions:
    """What may stand for an entity of a type."""

    def __init__(self, mentions: Iterable[tuple[str, str]], lists: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._mentions = _by_type(mentions)
        self._lists = {kind: [each for each in of_type if each] for kind, of_type in lists.items()}

    def __contains__(self, kind: str) -> bool:
        return bool(self._mentions.get(kind) or self._lists.get(kind))

    def draw(self, kind: str, generator: random.Random) -> str:
        """Return one of a type that there is something of."""
        lists, mentions = self._lists.get(kind), self._mentions.get(kind)
        if lists and (not mentions or generator.random() < LISTED):
            return generator.choice(generator.choice(lists))
        assert mentions
        return generator.choice(mentions)


def unchanged(sentence: Sentence) -> Exchanged:
    """Return a sentence as it is."""
    return Exchanged(sentence, tuple(range(len(sentence.text))))


def joined(first: Exchanged, second: Exchanged) -> Exchanged:
    """Return what two changes, one after the other, make of a sentence."""
    return Exchanged(second.sentence, tuple(first.origins[i] if i >= 0 else -1 for i in second.origins))


def substituted_sentences(
    sentences: Sequence[Sentence],
    count: int,
    *,
    longest: int,
    seed: int,
    invented: float = 0.0,
    lists: Mapping[str, Sequence[Sequence[str]]] | None = None,
) -> list[str]:
    """Draw new sentences.

    Parameters
    ----------
    sentences
        Labelled by people or by a teacher; those without entities are not used.
    count
        How many to draw; fewer are returned where too few differ.
    longest
        Longer results are left out. Code points.
    seed
        The same seed draws the same sentences.
    invented
        Share of the exchanged entities whose place is taken by the beginning of one mention and the end of another.
    lists
        Word lists by type, whose words are exchanged for as well.

    Returns
    -------
    list of str
        Without repeats, and without any of ``sentences``. Overlapping entities are not exchanged.
    """
    generator = random.Random(seed)
    usable = [(sentence.text, spans) for sentence in sentences if (spans := disjoint(sentence.spans))]
    choices = Mentions(
        ((t[span.start : span.end], span.type) for t, spans in usable for span in spans if not span.also), lists or {}
    )
    known = {sentence.text for sentence in sentences}
    drawn: dict[str, None] = {}
    fruitless = 0
    while usable and len(drawn) < count and fruitless < FRUITLESS_PASSES:
        before = len(drawn)
        generator.shuffle(usable)
        for text, spans in usable[: count - len(drawn)]:
            made = _exchange(text, spans, choices, invented, generator).sentence.text
            if made not in known and len(made) <= longest:
                drawn[made] = None
        fruitless = fruitless + 1 if len(drawn) == before else 0
    return list(drawn)


def disjoint(spans: Sequence[GoldSpan]) -> list[GoldSpan]:
    """Return the spans in order, or none where some overlap."""
    return [] if overlaps(spans) else sorted(spans)


def _by_type(mentions: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    by_type: dict[str, dict[str, None]] = {}
    for surface, kind in mentions:
        by_type.setdefault(kind, {})[surface] = None
    return {kind: list(surfaces) for kind, surfaces in by_type.items()}


def _exchange(
    text: str, spans: Sequence[GoldSpan], choices: Mentions, invented: float, generator: random.Random
) -> Exchanged:
    chosen = {generator.randrange(len(spans))}
    chosen |= {i for i in range(len(spans)) if generator.random() < EXCHANGED}
    chosen = {i for i in chosen if not spans[i].also and spans[i].type in choices}
    origins: list[int] = []
    moved: list[GoldSpan] = []
    made, end = "", 0
    for i, span in enumerate(spans):
        made += text[end : span.start]
        origins += range(end, span.start)
        mention = text[span.start : span.end]
        if i in chosen:
            mention = choices.draw(span.type, generator)
            if generator.random() < invented:
                mention = crossing(mention, choices.draw(span.type, generator), generator)
            origins += [-1] * len(mention)
        else:
            origins += range(span.start, span.end)
        moved.append(dataclasses.replace(span, start=len(made), end=len(made) + len(mention)))
        made += mention
        end = span.end
    origins += range(end, len(text))
    return Exchanged(Sentence(made + text[end:], tuple(moved)), tuple(origins))


def crossing(first: str, second: str, generator: random.Random) -> str:
    """Join the beginning of one mention and the end of another, both cut at the same share of their length."""
    if len(first) < 2 or len(second) < 2:
        return first
    cut = generator.randrange(1, len(first))
    return first[:cut] + second[max(1, min(len(second) - 1, round(cut / len(first) * len(second)))) :]
