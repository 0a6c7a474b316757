"""Noise as in everyday typing: missing punctuation and brackets, extra spaces, marks and emoji.

Offsets of the labels move with the characters; what is inside an entity stays as it is.
"""

from __future__ import annotations

import dataclasses
import random

from distillex_training.data.labelled import Sentence
from distillex_training.data.substitution import Exchanged, unchanged

BEFORE = ("#", "【", "求助：", "[话题]", "转：", "…", "📢", "1. ", "- ")
AFTER = ("！！！", "😂", "～", "…", "😭😭", " 🙏", "哈哈", "？？", "(笑)", "#", "。。。", "~", "👍")
MARKS = "，。、；：！？,;:!?"
QUOTES = "《》“”「」『』\"'【】"
CHANGES = 2
"""Kinds of change that a sentence undergoes, at most."""
Characters = list[tuple[str, int]]
"""Each with its place in the sentence as it was; -1 for one that is new."""


def noisy(sentence: Sentence, generator: random.Random) -> Exchanged:
    """Return a sentence typed with less care; a partially labelled one as it is.

    Parameters
    ----------
    sentence
        With whatever labels.
    generator
        Decides what changes.
    """
    if sentence.open:
        return unchanged(sentence)
    inside = [False] * len(sentence.text)
    for span in sentence.spans:
        inside[span.start : span.end] = [True] * (span.end - span.start)
    characters: Characters = [(character, i) for i, character in enumerate(sentence.text)]
    for change in generator.sample(
        (_without_marks, _without_quotes, _spaced, _decorated), generator.randint(1, CHANGES)
    ):
        characters = change(characters, inside, generator)
    if not characters or not "".join(character for character, _ in characters).strip():
        return unchanged(sentence)
    place = {origin: i for i, (_, origin) in enumerate(characters) if origin >= 0}
    spans = tuple(
        dataclasses.replace(span, start=place[span.start], end=place[span.end - 1] + 1) for span in sentence.spans
    )
    text = "".join(character for character, _ in characters)
    return Exchanged(Sentence(text, spans, weight=sentence.weight), tuple(origin for _, origin in characters))


def _without_marks(characters: Characters, inside: list[bool], generator: random.Random) -> Characters:
    """Leave punctuation out, or put a space there; of some sentences the last mark alone."""
    last_alone = generator.random() < 0.4
    by = generator.choice(("", " "))
    kept: Characters = []
    for i, (character, origin) in enumerate(characters):
        if origin < 0 or inside[origin] or character not in MARKS or (last_alone and i < len(characters) - 1):
            kept.append((character, origin))
        elif by and i < len(characters) - 1:
            kept.append((by, origin))
    return kept


def _without_quotes(characters: Characters, inside: list[bool], generator: random.Random) -> Characters:  # noqa: ARG001
    return [(c, origin) for c, origin in characters if origin < 0 or inside[origin] or c not in QUOTES]


def _spaced(characters: Characters, inside: list[bool], generator: random.Random) -> Characters:
    """Put a space where Latin letters or figures meet Chinese characters, or take out those that are there."""
    if generator.random() < 0.5:
        return [(c, origin) for c, origin in characters if origin < 0 or inside[origin] or not c.isspace()]
    kept: Characters = []
    for character, origin in characters:
        before = kept[-1] if kept else None
        if (
            before is not None
            and before[0].isalnum()
            and character.isalnum()
            and before[0].isascii() != character.isascii()
            and not (origin >= 0 and before[1] >= 0 and inside[origin] and inside[before[1]])
        ):
            kept.append((" ", -1))
        kept.append((character, origin))
    return kept


def _decorated(characters: Characters, inside: list[bool], generator: random.Random) -> Characters:  # noqa: ARG001
    before = generator.choice(BEFORE) if generator.random() < 0.3 else ""
    after = generator.choice(AFTER) if not before or generator.random() < 0.5 else ""
    return [*((c, -1) for c in before), *characters, *((c, -1) for c in after)]
