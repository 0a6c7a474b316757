"""Lexicon features as vectors (*SoftLexicon*, Ma et al., ACL 2020, with typed, dynamic words)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SLOTS = 4


class LexiconFusion(nn.Module):
    """Sum type and hashed word embeddings over the words of each slot, weighted; concatenate the slots; project.

    In training the word embedding of a whole sentence is dropped with probability ``word_dropout``: a word added at run
    time has none, so the type alone has to mean something.
    """

    def __init__(self, types: int, word_hash_size: int, embedding: int, width: int, word_dropout: float) -> None:
        super().__init__()
        self.type_embedding = nn.Embedding(types + 1, embedding, padding_idx=0)
        self.word_embedding = nn.Embedding(word_hash_size, embedding, padding_idx=0)
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
        word_vectors = self.word_embedding(words)
        if self.training and self.word_dropout > 0:
            kept = torch.rand(words.shape[1], 1, 1, 1, device=words.device) >= self.word_dropout
            word_vectors = word_vectors * kept
        weighted = (self.type_embedding(types) + word_vectors) * weights.unsqueeze(-1)
        # The sum over K of both tables, [B, T, 4, E], as a product with ones: ONNX Runtime's ReduceSum is much slower.
        slots = (weighted.new_ones(1, weighted.shape[0]) @ weighted.flatten(1)).view(weighted.shape[1:])
        projected: Tensor = self.project(slots.flatten(2))
        return projected
