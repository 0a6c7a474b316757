"""The sizes of a student: those that a run chooses, and with them those that follow from its data."""

from __future__ import annotations

from typing import Annotated, Literal

from distillex_training.config.values import Count, HashSize, NotEmpty, ShareBelowOne, Size, Switch, settings

ATTENTION_HEADS = 4
LARGEST_HASHED = 2**16
"""Ids up to here, times the factor and plus another id, stay within int32."""
LARGEST_PAIRED = 46_340
"""The square of this many ids is within int32."""


@settings(frozen=True)
class StudentSizes:
    """The sizes that a run chooses."""

    encoder: Literal["gated_cnn", "separable_cnn", "transformer"] = "gated_cnn"
    """Kind of layers."""
    width: Size = 128
    """Width of the layers."""
    dilations: Annotated[tuple[Size, ...], NotEmpty] = (1, 2, 4, 8, 1)
    """One layer each (the transformer uses their number)."""
    character_embedding: Size = 96
    """Width of the table of characters."""
    bigram_embedding: Size = 32
    """Width of the table of hashed bigrams."""
    bigram_hash_size: HashSize = 32768
    """Rows of the table of bigrams."""
    collision_free_bigrams: Switch = False
    """Each row of the bigram table belongs to one bigram, the most frequent of those that hash to it; all others share
    row 0, so that bigrams which training never met do not take the vectors of those it did."""
    collision_free_words: Switch = False
    """The same for the table of lexicon words; a word that owns no row has its type alone, like one added at run
    time."""
    trigram_embedding: Count = 0
    """Width of the table of hashed trigrams; 0: none."""
    trigram_hash_size: HashSize = 65536
    """Rows of the table of trigrams."""
    lexicon_embedding: Size = 32
    """Width of the lexicon features."""
    head: Size = 128
    """Width of the two-layer head."""
    dropout: ShareBelowOne = 0.3
    """Dropout of the layers and the head."""
    word_dropout: ShareBelowOne = 0.2
    """Share of the lexicon words whose own vector training hides; their type stays."""
    character_dropout: ShareBelowOne = 0.0
    """Share of the characters, and with them their bigrams, that training hides: the rest has to tell the label."""
    word_hash_size: HashSize = 32768
    """Rows of the table of lexicon words."""
    context: Switch = False
    """The mean over the sentence joins every character half way up the layers."""

    def __post_init__(self) -> None:
        """Check sizes that are right alone but not together.

        Raises
        ------
        ValueError
            Where they are not; the message names one, its value and what is accepted.
        """
        if self.encoder == "transformer" and self.width % ATTENTION_HEADS:
            raise ValueError(f"width is {self.width}; with a transformer a multiple of {ATTENTION_HEADS} is accepted")
        if self.trigram_embedding and self.bigram_hash_size > LARGEST_HASHED:
            raise ValueError(
                f"bigram_hash_size is {self.bigram_hash_size}; with trigrams at most {LARGEST_HASHED} is accepted"
            )


@settings(frozen=True, kw_only=True)
class StudentConfig(StudentSizes):
    """All sizes of a student."""

    vocabulary: Size
    """Tokens."""
    lexicon_types: Count
    """Types of lexicon words."""
    entity_types: tuple[str, ...]
    """What it finds."""

    def __post_init__(self) -> None:
        """Check sizes that are right alone but not together; raises as :class:`StudentSizes` does."""
        super().__post_init__()
        if self.collision_free_bigrams and self.vocabulary > LARGEST_PAIRED:
            raise ValueError(
                f"vocabulary is {self.vocabulary}; with owned bigrams at most {LARGEST_PAIRED} is accepted"
            )
