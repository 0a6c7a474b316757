"""More raw sentences from those that are there: entities exchanged for others of their type.

Mention replacement (Dai and Adel, *An Analysis of Simple Data Augmentation for Named Entity Recognition*, COLING 2020),
for text that a teacher labels afterwards, as the augmented text of *TinyBERT* (Jiao et al., Findings of EMNLP 2020) is.
A share of the mentions is new: the beginning of one and the end of another of the same type.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

from distillex_training.data.labelled import GoldSpan, Sentence

EXCHANGED = 0.5
"""Share of a sentence's entities that are exchanged; at least one is."""
FRUITLESS_PASSES = 200
"""Passes over all sentences without a new one after which there are taken to be no more."""


def substituted_sentences(
    sentences: Sequence[Sentence], count: int, *, longest: int, seed: int, crossed: float = 0.0
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
    crossed
        Share of the exchanged entities whose place is taken by the beginning of one mention and the end of another.

    Returns
    -------
    list of str
        Without repeats, and without any of ``sentences``. Overlapping entities are not exchanged.
    """
    generator = random.Random(seed)
    usable = [(sentence.text, spans) for sentence in sentences if (spans := _disjoint(sentence.spans))]
    mentions: dict[str, dict[str, None]] = {}
    for text, spans in usable:
        for span in spans:
            mentions.setdefault(span.type, {})[text[span.start : span.end]] = None
    choices = {kind: list(surfaces) for kind, surfaces in mentions.items()}
    known = {sentence.text for sentence in sentences}
    drawn: dict[str, None] = {}
    fruitless = 0
    while usable and len(drawn) < count and fruitless < FRUITLESS_PASSES:
        before = len(drawn)
        generator.shuffle(usable)
        for text, spans in usable[: count - len(drawn)]:
            made = _exchange(text, spans, choices, crossed, generator)
            if made not in known and len(made) <= longest:
                drawn[made] = None
        fruitless = fruitless + 1 if len(drawn) == before else 0
    return list(drawn)


def _disjoint(spans: Sequence[GoldSpan]) -> list[GoldSpan]:
    ordered = sorted(spans, key=lambda span: (span.start, span.end))
    apart = all(a.end <= b.start for a, b in pairwise(ordered))
    return ordered if apart else []


def _exchange(
    text: str, spans: Sequence[GoldSpan], choices: dict[str, list[str]], crossed: float, generator: random.Random
) -> str:
    chosen = {generator.randrange(len(spans))}
    chosen |= {i for i in range(len(spans)) if generator.random() < EXCHANGED}
    parts, end = [], 0
    for i, span in enumerate(spans):
        mention = text[span.start : span.end]
        if i in chosen:
            mention = generator.choice(choices[span.type])
            if generator.random() < crossed:
                mention = _crossed(mention, generator.choice(choices[span.type]), generator)
        parts += [text[end : span.start], mention]
        end = span.end
    return "".join([*parts, text[end:]])


def _crossed(first: str, second: str, generator: random.Random) -> str:
    """Join the beginning of one mention and the end of another, both cut at the same share of their length."""
    if len(first) < 2 or len(second) < 2:
        return first
    cut = generator.randrange(1, len(first))
    return first[:cut] + second[max(1, min(len(second) - 1, round(cut / len(first) * len(second)))) :]
