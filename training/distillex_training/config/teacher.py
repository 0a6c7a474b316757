"""The sizes of a teacher."""

from __future__ import annotations

from typing import Any

from distillex_training.config.values import Count, HashSize, ShareBelowOne, Size, Switch, settings


@settings(frozen=True)
class TeacherConfig:
    """Sizes of a teacher; ``encoder_config`` is the encoder's own transformers configuration."""

    vocabulary: Size
    lexicon_types: Count
    word_hash_size: HashSize
    entity_types: tuple[str, ...]
    encoder_config: dict[str, Any]
    lexicon_embedding: Size = 48
    lexicon_width: Size = 128
    head: Size = 256
    dropout: ShareBelowOne = 0.2
    word_dropout: ShareBelowOne = 0.2
    word_pieces: Switch = False
    """The encoder reads the pieces of its own tokenizer, pooled to characters."""
