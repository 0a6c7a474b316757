"""The student: parameters in tables, not in layers.

Character embedding, hashed bigram (and trigram) embeddings and lexicon features, one projection, a few cheap layers,
the lexicon features once more beside the encoder's output, a two-layer head.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from distillex_training.config.student import ATTENTION_HEADS, StudentConfig
from distillex_training.data.vocabulary import MASK_ID, SPECIAL_TOKENS
from distillex_training.models.dropout import Dropout
from distillex_training.models.fusion import LexiconFusion
from distillex_training.models.owners import give_rows, no_owners, owned_rows

BIGRAM_FACTOR = 31337


class GatedConvolution(nn.Module):
    """Gated dilated convolution of kernel 3 with a residual and layer norm (Dauphin et al., ICML 2017)."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

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
        self.dropout = Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """*Shape:* hidden [B, T, W], mask [B, T, 1] float → [B, T, W]."""
        mixed = self.depthwise((hidden * mask).transpose(1, 2)).transpose(1, 2)
        value, gate = self.pointwise(mixed).chunk(2, dim=-1)
        normed: Tensor = self.norm(hidden + self.dropout(value * torch.sigmoid(gate)))
        return normed


class SentenceContext(nn.Module):
    """Add to every character what the whole sentence is about: a projection of the mean of its hidden states."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, width)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """*Shape:* hidden [B, T, W], mask [B, T, 1] float → [B, T, W]."""
        # A product, which ONNX Runtime computes much faster than its ReduceSum: [B, 1, T] @ [B, T, W].
        mean = mask.transpose(1, 2) @ hidden / mask.sum(dim=1, keepdim=True).clamp(min=1.0)
        summed: Tensor = hidden + functional.gelu(self.project(mean), approximate="tanh")
        return summed


class ThinTransformerLayer(nn.Module):
    """Pre-norm self-attention of 4 heads and a feed-forward of twice the width."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:  # noqa: ARG002
        super().__init__()
        self.heads = ATTENTION_HEADS
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = Dropout(dropout)

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
        self.bigram_owners: Tensor | None
        self.register_buffer(
            "bigram_owners", no_owners(config.bigram_hash_size) if config.collision_free_bigrams else None
        )
        nn.init.normal_(self.character_embedding.weight, std=0.1)
        nn.init.normal_(self.bigram_embedding.weight, std=0.02)
        self.trigram_embedding: nn.Embedding | None = None
        if config.trigram_embedding:
            self.trigram_embedding = nn.Embedding(config.trigram_hash_size, config.trigram_embedding)
            nn.init.normal_(self.trigram_embedding.weight, std=0.02)
        lexicon_width = SLOT_WIDTH_FACTOR * config.lexicon_embedding
        self.fusion = LexiconFusion(
            *(config.lexicon_types, config.word_hash_size, config.lexicon_embedding, lexicon_width),
            config.word_dropout,
            owned=config.collision_free_words,
        )
        grams = 2 * config.bigram_embedding + 2 * config.trigram_embedding
        inputs = config.character_embedding + grams + lexicon_width
        self.project = nn.Linear(inputs, config.width)
        self.layers = nn.ModuleList(
            ENCODERS[config.encoder](config.width, dilation, config.dropout) for dilation in config.dilations
        )
        self.context = SentenceContext(config.width) if config.context else None
        labels = 1 + 4 * len(config.entity_types)
        self.head = nn.Linear(config.width + lexicon_width, config.head)
        self.tag = nn.Linear(config.head, labels)
        self.dropout = Dropout(config.dropout)

    @property
    def hidden_width(self) -> int:
        """Units of the encoder's output."""
        return self.config.width

    @property
    def character_table(self) -> Tensor:
        """Embeddings of the characters. *Shape:* [vocabulary, character_embedding]."""
        return self.character_embedding.weight

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
        if self.training and self.config.character_dropout > 0:
            input_ids = self._with_hidden_characters(input_ids)
        lexicon = self.fusion(lexicon_types, lexicon_words, lexicon_weights)
        inputs = torch.cat([self.character_embedding(input_ids), *self._grams(input_ids), lexicon], dim=-1)
        hidden = self.encode(self.project(self.dropout(inputs)), mask)
        joined = torch.cat([hidden, lexicon], dim=-1)
        emissions: Tensor = self.tag(self.dropout(functional.gelu(self.head(self.dropout(joined)), approximate="tanh")))
        return emissions, hidden

    def encode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Run the layers. *Shape:* hidden [B, T, W], mask [B, T, 1] float → [B, T, W]."""
        for number, layer in enumerate(self.layers):
            if self.context is not None and number == len(self.layers) // 2:
                hidden = self.context(hidden, mask)
            hidden = layer(hidden, mask)
        return hidden

    def _with_hidden_characters(self, input_ids: Tensor) -> Tensor:
        chosen = torch.rand(input_ids.shape, device=input_ids.device) < self.config.character_dropout
        return input_ids.masked_fill(chosen & (input_ids >= len(SPECIAL_TOKENS)), MASK_ID)

    def _grams(self, input_ids: Tensor) -> list[Tensor]:
        """Vectors of the bigrams and trigrams that end and begin at each token. *Shape:* each [B, T, E]."""
        bigrams = self.bigram_rows(input_ids)
        after = self.bigram_embedding(bigrams)
        grams = [_preceding(after, 1), after]
        if self.trigram_embedding is not None:
            trigrams = self._hashed(bigrams, _following(input_ids, 2), self.config.trigram_hash_size)
            after = self.trigram_embedding(trigrams)
            grams += [_preceding(after, 2), after]
        return grams

    def bigram_rows(self, input_ids: Tensor) -> Tensor:
        """Return the table's row of the bigram that begins at each token. *Shape:* [B, T]."""
        rows = self._hashed(input_ids, _following(input_ids, 1), self.config.bigram_hash_size)
        return rows if self.bigram_owners is None else owned_rows(self._bigrams(input_ids), rows, self.bigram_owners)

    def _bigrams(self, input_ids: Tensor) -> Tensor:
        """Return a number for each bigram, by which its row is owned. *Shape:* [B, T]."""
        return input_ids * self.config.vocabulary + _following(input_ids, 1)

    def characters_of(self, bigrams: Tensor) -> tuple[Tensor, Tensor]:
        """Return first and second token id of bigrams, given by the numbers in ``bigram_owners``. *Shape:* any."""
        return bigrams // self.config.vocabulary, bigrams % self.config.vocabulary

    def _row_of_bigram(self, bigrams: Tensor) -> Tensor:
        return self._hashed(*self.characters_of(bigrams), self.config.bigram_hash_size)

    def give_rows_to_bigrams(self, sentences: Iterable[Tensor], minimum_count: int = 2) -> int:
        """Give each row of the bigram table to the most frequent bigram that hashes to it.

        Parameters
        ----------
        sentences
            Token ids of the training text. *Shape:* each [B, T], integer.
        minimum_count
            Rarer bigrams own none.

        Returns
        -------
        int
            How many rows belong to a bigram.
        """
        assert self.bigram_owners is not None
        bigrams = (self._bigrams(ids)[ids != 0] for ids in sentences)
        return give_rows(self.bigram_owners, bigrams, self._row_of_bigram, minimum_count)

    @staticmethod
    def _hashed(first: Tensor, second: Tensor, size: int) -> Tensor:
        # int32 arithmetic, which every runtime has; it cannot overflow for ids up to LARGEST_HASHED.
        return (first * BIGRAM_FACTOR + second) % size


def _following(input_ids: Tensor, distance: int) -> Tensor:
    # Joined and not padded: ONNX Runtime's CUDA provider pads no integers, and would leave this to the CPU.
    return torch.cat([input_ids[:, distance:], input_ids[:, :distance] * 0], dim=1)


def _preceding(vectors: Tensor, distance: int) -> Tensor:
    return functional.pad(vectors, (0, 0, distance, 0))[:, :-distance]


SLOT_WIDTH_FACTOR = 4
