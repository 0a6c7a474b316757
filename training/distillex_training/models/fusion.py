"""Lexicon features as vectors (*SoftLexicon*, Ma et al., ACL 2020, with typed, dynamic words)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from distillex_training.models.owners import give_rows, no_owners, owned_rows

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
        self._hashes = word_rows - 1  # kept, since a quantised table does not tell its size
        self.word_owners: Tensor | None
        self.register_buffer("word_owners", no_owners(word_rows) if owned else None)
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
        word_vectors = self.word_embedding(self.word_rows(words))
        if self.training and self.word_dropout > 0:
            kept = torch.rand(words.shape[0], 1, 1, 1, 1, device=words.device) >= self.word_dropout
            word_vectors = word_vectors * kept
        slots = ((self.type_embedding(types) + word_vectors) * weights.unsqueeze(-1)).sum(dim=3)
        projected: Tensor = self.project(slots.flatten(2))
        return projected

    def word_rows(self, words: Tensor) -> Tensor:
        """Return the table's row of each word id, 0 for a word that owns none. *Shape:* any."""
        # The ids of a layout with more of them are folded: see FeatureLayout.with_distinct_words.
        rows = torch.where(words > 0, self._folded(words), 0)
        return rows if self.word_owners is None else owned_rows(words, rows, self.word_owners)

    def _folded(self, words: Tensor) -> Tensor:
        return 1 + (words - 1) % self._hashes

    def give_rows_to_words(self, sentences: Iterable[Tensor], minimum_count: int = 2) -> int:
        """Give each row of the word table to the most frequent word that hashes to it.

        Parameters
        ----------
        sentences
            Word ids of the training text, each occurrence once. *Shape:* any, integer; 0 is no word.
        minimum_count
            Rarer words own none.

        Returns
        -------
        int
            How many rows belong to a word.
        """
        assert self.word_owners is not None
        words = (ids[ids != 0] for ids in sentences)
        return give_rows(self.word_owners, words, self._folded, minimum_count)
