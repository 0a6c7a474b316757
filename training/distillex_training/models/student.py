"""The student: parameters in tables, not in layers.

Character embedding, hashed bigram embeddings and lexicon features, one projection, a few cheap layers, the lexicon
features once more beside the encoder's output, a two-layer head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from distillex_training.models.fusion import LexiconFusion

BIGRAM_FACTOR = 31337


@dataclass(frozen=True)
class StudentConfig:
    """Sizes of a student."""

    vocabulary: int
    lexicon_types: int
    word_hash_size: int
    entity_types: tuple[str, ...]
    encoder: str = "gated_cnn"
    """``gated_cnn``, ``separable_cnn`` or ``transformer``."""
    width: int = 128
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1)
    """One layer each (the transformer uses their number)."""
    character_embedding: int = 96
    bigram_embedding: int = 32
    bigram_hash_size: int = 32768
    lexicon_embedding: int = 32
    head: int = 128
    dropout: float = 0.3
    word_dropout: float = 0.2

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS:
            raise ValueError(f"unknown encoder {self.encoder!r}; known encoders: {', '.join(ENCODERS)}")


class GatedConvolution(nn.Module):
    """Gated dilated convolution of kernel 3 with a residual and layer norm (Dauphin et al., ICML 2017)."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """*Shape:* hidden [B, T, W], mask [B, T, 1] float → [B, T, W]."""
        # Padding is zeroed before every layer: a result does not depend on the bucket.
        both = self.convolution((hidden * mask).transpose(1, 2)).transpose(1, 2)
        value, gate = both.chunk(2, dim=-1)
        normed: Tensor = self.norm(hidden + self.dropout(value * torch.sigmoid(gate)))
        return normed


class SeparableConvolution(nn.Module):
    """Depthwise convolution of kernel 5, then a gated pointwise one, with a residual and layer norm."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation, groups=width)
        self.pointwise = nn.Linear(width, 2 * width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """*Shape:* hidden [B, T, W], mask [B, T, 1] float → [B, T, W]."""
        mixed = self.depthwise((hidden * mask).transpose(1, 2)).transpose(1, 2)
        value, gate = self.pointwise(mixed).chunk(2, dim=-1)
        normed: Tensor = self.norm(hidden + self.dropout(value * torch.sigmoid(gate)))
        return normed


class ThinTransformerLayer(nn.Module):
    """Pre-norm self-attention of 4 heads and a feed-forward of twice the width."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:  # noqa: ARG002
        super().__init__()
        self.heads = 4
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """*Shape:* hidden [B, T, W], mask [B, T, 1] float → [B, T, W]."""
        batch, tokens, width = hidden.shape
        projected = self.query_key_value(self.norm(hidden))
        query, key, value = (
            part.reshape(batch, tokens, self.heads, width // self.heads).transpose(1, 2)
            for part in projected.chunk(3, dim=-1)
        )
        scores = query @ key.transpose(2, 3) / (width // self.heads) ** 0.5
        scores = scores + (mask.transpose(1, 2).unsqueeze(1) - 1.0) * 1e4
        attended = (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).reshape(batch, tokens, width)
        hidden = hidden + self.dropout(self.out(attended))
        output: Tensor = hidden + self.dropout(self.feed_forward(hidden))
        return output


ENCODERS: dict[str, type[nn.Module]] = {
    "gated_cnn": GatedConvolution,
    "separable_cnn": SeparableConvolution,
    "transformer": ThinTransformerLayer,
}


class Student(nn.Module):
    """Features → emissions."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        self.character_embedding = nn.Embedding(config.vocabulary, config.character_embedding, padding_idx=0)
        self.bigram_embedding = nn.Embedding(config.bigram_hash_size, config.bigram_embedding)
        nn.init.normal_(self.character_embedding.weight, std=0.1)
        nn.init.normal_(self.bigram_embedding.weight, std=0.02)
        lexicon_width = SLOT_WIDTH_FACTOR * config.lexicon_embedding
        self.fusion = LexiconFusion(
            config.lexicon_types, config.word_hash_size, config.lexicon_embedding, lexicon_width, config.word_dropout
        )
        inputs = config.character_embedding + 2 * config.bigram_embedding + lexicon_width
        self.project = nn.Linear(inputs, config.width)
        self.layers = nn.ModuleList(
            ENCODERS[config.encoder](config.width, dilation, config.dropout) for dilation in config.dilations
        )
        labels = 1 + 4 * len(config.entity_types)
        self.head = nn.Linear(config.width + lexicon_width, config.head)
        self.tag = nn.Linear(config.head, labels)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, input_ids: Tensor, lexicon_types: Tensor, lexicon_words: Tensor, lexicon_weights: Tensor
    ) -> Tensor:
        """Compute emission scores.

        Parameters
        ----------
        input_ids
            Token ids, 0 = padding. *Shape:* [B, T], integer.
        lexicon_types, lexicon_words
            *Shape:* [B, T, 4, K], integer.
        lexicon_weights
            *Shape:* [B, T, 4, K], float32.

        Returns
        -------
        Tensor
            *Shape:* [B, T, L].
        """
        emissions, _ = self.forward_with_hidden(input_ids, lexicon_types, lexicon_words, lexicon_weights)
        return emissions

    def forward_with_hidden(
        self, input_ids: Tensor, lexicon_types: Tensor, lexicon_words: Tensor, lexicon_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Like :meth:`forward`, with the encoder's output too. *Shape:* [B, T, L], [B, T, W]."""
        mask = (input_ids != 0).unsqueeze(-1).to(self.tag.weight.dtype)
        lexicon = self.fusion(lexicon_types, lexicon_words, lexicon_weights)
        bigrams = self._bigram_ids(input_ids)
        after = self.bigram_embedding(bigrams)
        before = functional.pad(after, (0, 0, 1, 0))[:, :-1]
        inputs = torch.cat([self.character_embedding(input_ids), before, after, lexicon], dim=-1)
        hidden = self.project(self.dropout(inputs))
        for layer in self.layers:
            hidden = layer(hidden, mask)
        joined = torch.cat([hidden, lexicon], dim=-1)
        emissions: Tensor = self.tag(self.dropout(functional.gelu(self.head(self.dropout(joined)), approximate="tanh")))
        return emissions, hidden

    def _bigram_ids(self, input_ids: Tensor) -> Tensor:
        # int32 arithmetic that cannot overflow for vocabularies under 68,000 tokens, and that every runtime has.
        following = functional.pad(input_ids, (0, 1))[:, 1:]
        return (input_ids * BIGRAM_FACTOR + following) % self.config.bigram_hash_size


SLOT_WIDTH_FACTOR = 4
