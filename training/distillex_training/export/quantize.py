"""Small tables: most of a student's parameters are embedding rows, and rows survive 8 bits.

Words are read 16 times a token, so that turning their rows back into numbers counts: they are in float16, which takes
one operation instead of three. The few rows of types stay as they are.

The arithmetic stays in float32; int8 arithmetic is in :mod:`distillex_training.export.int8`.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from distillex_training.models import Student
from distillex_training.models.stored_weights import TABLES, quantize_rows


class QuantizedEmbedding(nn.Module):
    """An embedding table of int8 rows with one float32 scale a row: ``row = scale × int8``."""

    rows: Tensor
    scales: Tensor

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        rows, scales = quantize_rows(embedding.weight)
        self.register_buffer("rows", rows)
        self.register_buffer("scales", scales)

    def forward(self, indices: Tensor) -> Tensor:
        """*Shape:* any integer shape → the same with the embedding dimension behind it."""
        rows = nn.functional.embedding(indices, self.rows)
        return rows.to(torch.float32) * nn.functional.embedding(indices, self.scales)


class HalfEmbedding(nn.Module):
    """An embedding table of float16 rows."""

    rows: Tensor

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.register_buffer("rows", embedding.weight.detach().half())

    def forward(self, indices: Tensor) -> Tensor:
        """*Shape:* any integer shape → the same with the embedding dimension behind it."""
        return nn.functional.embedding(indices, self.rows).to(torch.float32)


def quantize_tables(student: Student) -> Student:
    """Return a copy of a student with characters, bigrams and trigrams in int8, words in float16."""
    quantized = halve_words(student)
    for table in TABLES:
        if (embedding := getattr(quantized, table)) is not None:
            setattr(quantized, table, QuantizedEmbedding(embedding))
    return quantized


def halve_words(student: Student) -> Student:
    """Return a copy of a student with words in float16."""
    halved = copy.deepcopy(student).eval()
    changed: Any = halved.fusion
    changed.word_embedding = HalfEmbedding(halved.fusion.word_embedding)
    return halved
