"""How the lexicon overlay of a training sentence is drawn, and everyday sentences are made."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from distillex_training.config.values import (
    Count,
    InputFile,
    NotEmpty,
    OneAlone,
    Share,
    Switch,
    Weight,
    WordLength,
    settings,
)


@settings(frozen=True)
class AugmentationConfig:
    """How an overlay is drawn for a sentence."""

    gold_probabilities: Annotated[tuple[Share, ...], NotEmpty] = (0.0, 0.0, 0.5, 1.0)
    """p, the probability that an entity is entered, is drawn from these, once a sentence."""
    highest_deletion: Share = 0.3
    """q, the probability that a base word is hidden, is drawn from U(0, this), once a sentence."""
    wrong_spans: Annotated[tuple[Count, ...], NotEmpty] = (0, 0, 1, 2)
    """The number of wrong entries is drawn from these."""
    near_miss: Share = 0.3
    """Share of the wrong entries that are a gold span grown or shrunk by one character, or a gold span with a wrong
    type."""
    base_words: Share = 0.0
    """Share of the other wrong entries that are a word of the base lexicon, with a random type."""
    listed_words: Share = 0.0
    """Share of what is left that are a word of the run's word lists (``everyday.slots``) which stands there by chance:
    across the words of the base lexicon, or as a common one of them."""
    bare_titles: Share = 0.0
    """Share of the right entries that go without the 《》 of their spans."""
    exchanged: Share = 0.0
    """Probability that about half of a sentence's entities are exchanged for others of their type in an epoch."""
    noisy: Share = 0.0
    """Probability that a sentence is typed with less care in an epoch: without punctuation, with emoji."""


@settings(frozen=True)
class SlotConfig:
    """What a slot of the templates is filled with. One of its sources is drawn, then one of its words."""

    name: str
    """Its name in templates."""
    type: str | None = None
    """Entity type of its words; without one they are plain text, which a lexicon may hold with a wrong type."""
    words: Annotated[tuple[InputFile, ...], OneAlone()] = ()
    """Word lists, one word per line."""
    mentions: Switch = False
    """Whether the entities of its type in the training file are words of it as well."""
    forms: tuple[str, ...] = ()
    """Templates of words, such as ``{place}(公安局|教育局)``."""


@settings(frozen=True)
class EverydayConfig:
    """Everyday sentences in addition to the labelled ones."""

    sentences: Count = 0
    """Number of such sentences per epoch."""
    templates: Annotated[tuple[InputFile, ...], OneAlone()] = ()
    """Files of templates, one a line."""
    slots: tuple[SlotConfig, ...] = ()
    """Fillers of the templates' slots."""
    pieces: Share = 0.3
    """Share that are pieces of labelled sentences, half of the entities exchanged for words of a slot of their type."""
    invented: Share = 0.5
    """Share of the words that are new: the beginning of one and the end of another."""
    longest_word: WordLength = 16
    """Longest word of the lists in code points; longer ones are left out."""
    mistyped: Share = 0.5
    """Share of the plain words that come with an entity type."""
    weight: Weight = 1.0
    """Weight of their CRF likelihood."""
    augmentation: AugmentationConfig = field(
        default_factory=lambda: AugmentationConfig(gold_probabilities=(0.0, 1.0, 1.0, 1.0, 1.0))
    )
    """How their overlays are drawn."""
