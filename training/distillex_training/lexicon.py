"""Lexicon augmentation: teach a model to use a lexicon, to doubt it, and to work without one.

Each sentence gets, afresh in each epoch, an overlay lexicon of its own, through the same path that a request's own
words take at run time: gold spans entered with probability p, base words hidden with probability q, wrong or wrongly
typed spans injected (compare DyLex, Wang et al., EMNLP 2021).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from distillex_matcher import Lexicon, is_word

from distillex_training.config.augmentation import AugmentationConfig
from distillex_training.data.labelled import Sentence

LONGEST_WRONG_SPAN = 8
LONGEST_BY_CHANCE = 4
"""Longer words do not stand in a text by chance."""
NAME_TAGS = ("nr", "ns", "nt", "nz", "eng", "x")
"""Parts of speech of the base lexicon that are names, or say nothing."""


NO_AUGMENTATION = AugmentationConfig((0.0,), 0.0, (0,), 0.0)


class ListedWords:
    """Words of lists that may stand in a text by chance."""

    def __init__(self, words: Mapping[str, Sequence[str]], base: Lexicon, *, word_boundaries: bool = False) -> None:
        """``words``: each with the entity types that the lists give it; ``word_boundaries``: as the layout says."""
        self._word_boundaries = word_boundaries
        self._base = base
        usable = {word: types for word, types in words.items() if len(word) <= LONGEST_BY_CHANCE and is_word(word)}
        self._types = list(usable.values())
        self._entity_types = {kind for types in words.values() for kind in types}
        self._words = Lexicon.from_words(dict.fromkeys(usable)) if usable else None

    def by_chance(self, sentence: Sentence) -> list[tuple[str, str]]:
        """Return listed words that are no entity here, with a type of theirs.

        A word between borders of the base lexicon's words may be an entity that nobody labelled; it is returned only
        where it is a common word of the base lexicon.
        """
        if self._words is None:
            return []
        text = sentence.text
        found = self._base.find(text, word_boundaries=self._word_boundaries)
        ends: dict[int, int] = {}
        common = set()
        for start, end, entry in found:
            ends[start] = max(end, ends.get(start, 0))
            kind = self._base[entry].type or ""
            if kind not in self._entity_types and not kind.startswith(NAME_TAGS):
                common.add((start, end))
        borders, position = {0}, 0
        while position < len(text):
            position = ends.get(position, position + 1)
            borders.add(position)
        entities = {(span.start, span.end) for span in sentence.spans}
        return [
            (text[start:end], kind)
            for start, end, entry in self._words.find(text, word_boundaries=self._word_boundaries)
            if (start, end) not in entities and ((start, end) in common or start not in borders or end not in borders)
            for kind in self._types[entry]
        ]


class LexiconAugmenter:
    """Draws the overlay of a sentence."""

    def __init__(
        self,
        config: AugmentationConfig,
        base: Lexicon | None,
        entity_types: Sequence[str],
        listed: ListedWords | None = None,
        *,
        word_boundaries: bool = False,
    ) -> None:
        """``word_boundaries``: as the layout says, whether words match whole alone."""
        self._config = config
        self._base = base
        self._entity_types = tuple(entity_types)
        self._listed = listed
        self._word_boundaries = word_boundaries

    def with_listed(self, listed: ListedWords) -> LexiconAugmenter:
        """Return one that knows words of lists."""
        return LexiconAugmenter(
            *(self._config, self._base, self._entity_types, listed), word_boundaries=self._word_boundaries
        )

    def overlay(self, sentence: Sentence, generator: random.Random, mistyped: Sequence[str] = ()) -> list[Lexicon]:
        """Return the overlays of a sentence: none or one. ``mistyped``: words that get an entity type at random."""
        config = self._config
        words: dict[str, str | None] = {word: generator.choice(self._entity_types) for word in mistyped}
        deletion = generator.uniform(0.0, config.highest_deletion)
        if deletion > 0.0 and self._base is not None:
            for start, end, _ in self._base.find(sentence.text, word_boundaries=self._word_boundaries):
                if generator.random() < deletion:
                    words[sentence.text[start:end]] = None
        for _ in range(generator.choice(config.wrong_spans)):
            word, entity_type = self._wrong_entry(sentence, generator)
            if word:
                words[word] = entity_type
        probability = generator.choice(config.gold_probabilities)
        for span in sentence.spans:
            if generator.random() < probability:
                surface = sentence.text[span.start : span.end]
                if surface[0] == "《" and surface[-1] == "》" and generator.random() < config.bare_titles:
                    surface = surface[1:-1]
                words[surface] = generator.choice(span.types) if span.also else span.type
        words = {word: entity_type for word, entity_type in words.items() if is_word(word)}
        return [Lexicon.from_words(words)] if words else []

    def _wrong_entry(self, sentence: Sentence, generator: random.Random) -> tuple[str, str]:
        text, config = sentence.text, self._config
        entity_type = generator.choice(self._entity_types)
        if sentence.spans and generator.random() < config.near_miss:
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
        if config.base_words > 0 and self._base is not None and generator.random() < config.base_words:
            found = self._base.find(text, word_boundaries=self._word_boundaries)
            words = [text[start:end] for start, end, _ in found if end - start > 1]
            if words:
                return generator.choice(words), entity_type
        if config.listed_words > 0 and self._listed is not None and generator.random() < config.listed_words:
            by_chance = self._listed.by_chance(sentence)
            if by_chance:
                return generator.choice(by_chance)
        length = min(generator.randint(2, LONGEST_WRONG_SPAN), len(text))
        start = generator.randint(0, len(text) - length)
        return text[start : start + length], entity_type
