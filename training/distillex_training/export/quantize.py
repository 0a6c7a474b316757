"""int8 tables: most of a student's parameters are embedding rows, and rows survive 8 bits.

The arithmetic stays in float32; int8 arithmetic is in :mod:`distillex_training.export.int8`.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from distillex_training.models import Student


class QuantizedEmbedding(nn.Module):
    """An embedding table of int8 rows with one float32 scale a row: ``row = scale × int8``."""

    rows: Tensor
    scales: Tensor

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        weight = embedding.weight.detach().float()
        scales = (weight.abs().amax(dim=1, keepdim=True) / 127.0).clamp_min(1e-12)
        self.register_buffer("rows", torch.round(weight / scales).clamp(-127, 127).to(torch.int8))
        self.register_buffer("scales", scales)

    def forward(self, indices: Tensor) -> Tensor:
        """*Shape:* any integer shape → the same with the embedding dimension behind it."""
        rows = nn.functional.embedding(indices, self.rows)
        return rows.to(torch.float32) * nn.functional.embedding(indices, self.scales)


def quantize_tables(student: Student) -> Student:
    """Return a copy of a student with every embedding table in int8."""
    quantized = copy.deepcopy(student).eval()
    for parent in list(quantized.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Embedding):
                setattr(parent, name, QuantizedEmbedding(child))
    return quantized
