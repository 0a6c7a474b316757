"""The teacher: a pretrained encoder, lexicon fusion on its output features, a two-layer head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from distillex_training.models.dropout import Dropout
from distillex_training.models.fusion import LexiconFusion


@dataclass(frozen=True)
class TeacherConfig:
    """Sizes of a teacher; ``encoder_config`` is the encoder's own transformers configuration."""

    vocabulary: int
    lexicon_types: int
    word_hash_size: int
    entity_types: tuple[str, ...]
    encoder_config: dict[str, Any]
    lexicon_embedding: int = 48
    lexicon_width: int = 128
    head: int = 256
    dropout: float = 0.2
    word_dropout: float = 0.2


class Teacher(nn.Module):
    """Features → emissions."""

    def __init__(self, config: TeacherConfig, encoder: nn.Module | None = None) -> None:
        super().__init__()
        from transformers import AutoConfig, AutoModel

        self.config = config
        if encoder is None:
            settings = dict(config.encoder_config)
            encoder = AutoModel.from_config(AutoConfig.for_model(settings.pop("model_type"), **settings))
            if hasattr(encoder, "pooler"):
                encoder.pooler = None
        self.encoder = encoder
        self.fusion = LexiconFusion(
            config.lexicon_types,
            config.word_hash_size,
            config.lexicon_embedding,
            config.lexicon_width,
            config.word_dropout,
        )
        self.head = nn.Linear(self.hidden_width + config.lexicon_width, config.head)
        self.tag = nn.Linear(config.head, 1 + 4 * len(config.entity_types))
        self.dropout = Dropout(config.dropout)

    @property
    def hidden_width(self) -> int:
        """Units of the encoder's output."""
        return int(self.config.encoder_config["hidden_size"])

    @property
    def character_table(self) -> Tensor:
        """Embeddings of the characters. *Shape:* [vocabulary, W]."""
        encoder: Any = self.encoder
        table: Tensor = encoder.get_input_embeddings().weight
        return table

    def forward(
        self, input_ids: Tensor, lexicon_types: Tensor, lexicon_words: Tensor, lexicon_weights: Tensor
    ) -> Tensor:
        """Compute emission scores; shapes as in :class:`~distillex_training.models.student.Student`."""
        emissions, _ = self.forward_with_hidden(input_ids, lexicon_types, lexicon_words, lexicon_weights)
        return emissions

    def forward_with_hidden(
        self, input_ids: Tensor, lexicon_types: Tensor, lexicon_words: Tensor, lexicon_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Like :meth:`forward`, with the encoder's output too. *Shape:* [B, T, L], [B, T, hidden_size]."""
        mask = (input_ids != 0).long()
        hidden: Tensor = self.encoder(input_ids=input_ids, attention_mask=mask).last_hidden_state
        lexicon = self.fusion(lexicon_types, lexicon_words, lexicon_weights)
        joined = self.dropout(torch.cat([hidden, lexicon.to(hidden.dtype)], dim=-1))
        emissions: Tensor = self.tag(self.dropout(functional.gelu(self.head(joined))))
        return emissions, hidden


def load_encoder(name_or_path: str | Path, vocabulary: tuple[str, ...]) -> tuple[nn.Module, dict[str, Any], list[str]]:
    """Load a pretrained encoder and gather its embedding rows to our vocabulary.

    A token that the encoder lacks gets the row of its upper-case form, else the mean of all rows.

    Parameters
    ----------
    name_or_path
        What ``AutoModel.from_pretrained`` takes; the encoder must come with a ``vocab.txt`` tokenizer.
    vocabulary
        Our tokens by id.

    Returns
    -------
    tuple
        The encoder, its configuration as a dict, and the tokens that it lacked.
    """
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(name_or_path)
    encoder = AutoModel.from_pretrained(name_or_path, dtype=torch.float32)
    if hasattr(encoder, "pooler"):
        encoder.pooler = None
    rows = tokens_of(name_or_path)
    old = encoder.get_input_embeddings().weight.data
    new = old.mean(dim=0, keepdim=True).repeat(len(vocabulary), 1)
    lacking = []
    for index, token in enumerate(vocabulary):
        row = rows.get(token, rows.get(token.upper()))
        if row is None:
            lacking.append(token)
        else:
            new[index] = old[row]
    embedding = nn.Embedding(len(vocabulary), old.shape[1], padding_idx=0)
    embedding.weight.data.copy_(new)
    encoder.set_input_embeddings(embedding)
    config.vocab_size = len(vocabulary)
    config.pad_token_id = 0
    encoder.config.vocab_size = len(vocabulary)
    settings = config.to_diff_dict() | {"model_type": config.model_type, "hidden_size": config.hidden_size}
    settings.pop("architectures", None)
    settings.pop("dtype", None)
    settings.pop("transformers_version", None)
    return encoder, settings, lacking


def tokens_of(name_or_path: str | Path) -> dict[str, int]:
    """Return the rows of an encoder's tokens, from its ``vocab.txt`` or, where it has none, from its tokenizer."""
    vocabulary_file = Path(name_or_path) / "vocab.txt"
    if vocabulary_file.exists():
        tokens = vocabulary_file.read_text(encoding="utf-8").split("\n")
        return {token: row for row, token in enumerate(tokens) if token}
    from transformers import AutoTokenizer

    rows: dict[str, int] = AutoTokenizer.from_pretrained(name_or_path).get_vocab()
    return rows
