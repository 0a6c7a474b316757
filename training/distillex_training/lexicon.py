"""Lexicon augmentation: teach a model to use a lexicon, to doubt it, and to do without it.

Each sentence gets, afresh in each epoch, an overlay lexicon of its own, through the same path that a request's own
words take at run time: gold spans entered with probability p, base words hidden with probability q, wrong or wrongly
typed spans injected (compare DyLex, Wang et al., EMNLP 2021).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from distillex_matcher import Lexicon, is_word

from distillex_training.accepted import Checked, Count, NotEmpty, Share
from distillex_training.data.labelled import Sentence

LONGEST_WRONG_SPAN = 8


@dataclass(frozen=True)
class AugmentationConfig(Checked):
    """How an overlay is drawn for a sentence."""

    gold_probabilities: Annotated[tuple[Share, ...], NotEmpty()] = (0.0, 0.0, 0.5, 1.0)
    """p is drawn from these, once a sentence."""
    highest_deletion: Share = 0.3
    """q is drawn from U(0, this), once a sentence."""
    wrong_spans: Annotated[tuple[Count, ...], NotEmpty()] = (0, 0, 1, 2)
    """The number of wrong entries is drawn from these."""
    near_miss: Share = 0.3
    """Share of the wrong entries that are a gold span grown or shrunk by one character, or a gold span with a wrong
    type."""
    exchanged: Share = 0.0
    """Probability that about half of a sentence's entities are exchanged for others of their type in an epoch."""


NO_AUGMENTATION = AugmentationConfig((0.0,), 0.0, (0,), 0.0)


class LexiconAugmenter:
    """Draws the overlay of a sentence."""

    def __init__(self, config: AugmentationConfig, base: Lexicon | None, entity_types: Sequence[str]) -> None:
        self._config = config
        self._base = base
        self._entity_types = tuple(entity_types)

    def overlay(self, sentence: Sentence, generator: random.Random) -> list[Lexicon]:
        """Return the overlays of a sentence: none or one."""
        config = self._config
        words: dict[str, str | None] = {}
        deletion = generator.uniform(0.0, config.highest_deletion)
        if deletion > 0.0 and self._base is not None:
            for start, end, _ in self._base.find(sentence.text):
                if generator.random() < deletion:
                    words[sentence.text[start:end]] = None
        for _ in range(generator.choice(config.wrong_spans)):
            word, entity_type = self._wrong_entry(sentence, generator)
            if word:
                words[word] = entity_type
        probability = generator.choice(config.gold_probabilities)
        for span in sentence.spans:
            if generator.random() < probability:
                words[sentence.text[span.start : span.end]] = span.type
        words = {word: entity_type for word, entity_type in words.items() if is_word(word)}
        return [Lexicon.from_words(words)] if words else []

    def _wrong_entry(self, sentence: Sentence, generator: random.Random) -> tuple[str, str]:
        text = sentence.text
        entity_type = generator.choice(self._entity_types)
        if sentence.spans and generator.random() < self._config.near_miss:
            span = generator.choice(sentence.spans)
            start, end = span.start, span.end
            change = generator.randrange(5)
            if change == 0:
                start = max(0, start - 1)
            elif change == 1:
                end = min(len(text), end + 1)
            elif change == 2 and end - start > 2:
                start += 1
            elif change == 3 and end - start > 2:
                end -= 1
            return text[start:end], entity_type
        length = min(generator.randint(2, LONGEST_WRONG_SPAN), len(text))
        start = generator.randint(0, len(text) - length)
        return text[start : start + length], entity_type
