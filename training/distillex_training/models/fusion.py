"""Lexicon features as vectors (*SoftLexicon*, Ma et al., ACL 2020, with typed, dynamic words)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

SLOTS = 4


class LexiconFusion(nn.Module):
    """Sum type and hashed word embeddings over the words of each slot, weighted; concatenate the slots; project.

    In training the word embedding of a whole sentence is dropped with probability ``word_dropout``: a word added at run
    time has none, so the type alone has to mean something.
    """

    def __init__(
        self, types: int, word_rows: int, embedding: int, width: int, word_dropout: float, *, owned: bool = False
    ) -> None:
        """``owned``: each row of the word table belongs to one word; the others have none, as if added at run time."""
        super().__init__()
        self.type_embedding = nn.Embedding(types + 1, embedding, padding_idx=0)
        self.word_embedding = nn.Embedding(word_rows, embedding, padding_idx=0)
        self._hashes = word_rows - 1
        self.word_owners: Tensor | None
        self.register_buffer("word_owners", torch.full((word_rows,), -1, dtype=torch.int32) if owned else None)
        nn.init.normal_(self.word_embedding.weight, std=0.02)
        nn.init.normal_(self.type_embedding.weight, std=0.1)
        with torch.no_grad():
            self.word_embedding.weight[0] = 0
            self.type_embedding.weight[0] = 0
        self.project = nn.Linear(SLOTS * embedding, width)
        self.word_dropout = word_dropout

    def forward(self, types: Tensor, words: Tensor, weights: Tensor) -> Tensor:
        """Combine.

        Parameters
        ----------
        types, words
            Integer ids. *Shape:* [B, T, 4, K].
        weights
            *Shape:* [B, T, 4, K].

        Returns
        -------
        Tensor
            *Shape:* [B, T, width].
        """
        # K first, for the sum below.
        types, words, weights = (tensor.permute(3, 0, 1, 2) for tensor in (types, words, weights))
        word_vectors = self.word_embedding(self.word_rows(words))
        if self.training and self.word_dropout > 0:
            kept = torch.rand(words.shape[1], 1, 1, 1, device=words.device) >= self.word_dropout
            word_vectors = word_vectors * kept
        weighted = (self.type_embedding(types) + word_vectors) * weights.unsqueeze(-1)
        # The sum over K of both tables, [B, T, 4, E], as a product with ones: ONNX Runtime's ReduceSum is much slower.
        slots = (weighted.new_ones(1, weighted.shape[0]) @ weighted.flatten(1)).view(weighted.shape[1:])
        projected: Tensor = self.project(slots.flatten(2))
        return projected

    def word_rows(self, words: Tensor) -> Tensor:
        """Return the table's row of each word id, 0 for a word that owns none. *Shape:* any."""
        rows = self._hashed(words)
        if self.word_owners is None:
            return rows
        # As an embedding, which every runtime reads with int32 rows.
        owners = functional.embedding(rows, self.word_owners.unsqueeze(1)).squeeze(-1)
        return torch.where(owners == words, rows, 0)

    def _hashed(self, words: Tensor) -> Tensor:
        # Word ids are 1 + hash % (word_hash_size - 1): a larger word_hash_size than the table has rows is folded.
        return torch.where(words > 0, 1 + (words - 1) % self._hashes, 0)

    def give_rows_to_words(self, sentences: Iterable[Tensor], minimum_count: int = 2) -> int:
        """Give each row of the word table to the most frequent word that hashes to it.

        Parameters
        ----------
        sentences
            Word ids of the training text, those where a word begins. *Shape:* any, integer; 0 is no word.
        minimum_count
            Rarer words own none.

        Returns
        -------
        int
            How many rows belong to a word.
        """
        assert self.word_owners is not None
        ids, counts = np.unique(torch.cat([words[words != 0].int() for words in sentences]).numpy(), return_counts=True)
        ordered = torch.from_numpy(ids[np.argsort(counts, kind="stable")][(counts < minimum_count).sum() :])
        owners = np.full(1 + self._hashes, -1, dtype=np.int32)
        owners[self._hashed(ordered).numpy()] = ordered.numpy()
        owners[0] = -1
        self.word_owners.copy_(torch.from_numpy(owners))
        return int((owners >= 0).sum())
