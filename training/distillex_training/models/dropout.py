"""Dropout that is cheap on a CPU.

PyTorch draws a CPU's dropout masks number by number: measured at a quarter of a student's training step and a seventh
of a teacher's. Here a mask is a piece of a long one, drawn once, that begins at a random place. The places come from
torch's generator, so that a run that goes on from a checkpoint drops what it would have dropped.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

ATTENTION = "eager_with_cheap_dropout"
DRAWN = 2**16
"""Drawn are integers below this; probabilities are rounded to its fractions."""
LONGEST = 2**23
"""Numbers of the long mask; a piece may have half of them."""


def drop(values: Tensor, probability: float) -> Tensor:
    """Zero each value with a probability and scale the others up; any shape."""
    if values.device.type != "cpu" or values.numel() > LONGEST // 2:
        return functional.dropout(values, probability, training=True)
    least = round(probability * DRAWN)
    if not 0 < least < DRAWN:
        return values if least == 0 else values * 0.0
    begin = int(torch.randint(LONGEST - values.numel(), ()))
    return values * long_mask(least, values.dtype)[begin : begin + values.numel()].view(values.shape)


@cache
def long_mask(least: int, dtype: torch.dtype) -> Tensor:
    """Return 0 with a probability of ``least / DRAWN``, else its factor. *Shape:* [LONGEST]."""
    generator = np.random.Generator(np.random.SFC64(least))
    kept = generator.integers(0, DRAWN, LONGEST, dtype=np.uint16) >= least
    return torch.from_numpy(kept).to(dtype).mul_(DRAWN / (DRAWN - least))


class Dropout(nn.Dropout):
    """``torch.nn.Dropout`` on :func:`drop`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """*Shape:* any → the same."""
        return drop(input, self.p) if self.training and self.p > 0 else input


def use_cheap_dropout(encoder: Any) -> None:
    """Give a transformers encoder these dropouts, those of its attention included (plain, not fused, attention)."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    for module in list(encoder.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, Dropout(child.p))
    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, eager_mask)
    encoder.set_attn_implementation(ATTENTION)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Scaled dot products. *Shape:* query, key, value [B, H, T, W], mask [B, 1, T, T] → [B, T, H, W], [B, H, T, T]."""
    scores = query * (query.shape[-1] ** -0.5 if scaling is None else scaling) @ key.transpose(2, 3)
    if attention_mask is not None:
        scores = scores + attention_mask.to(scores.dtype)  # else bfloat16 becomes float32, twice the bytes from here on
    weights = torch.softmax(scores, dim=-1)
    if module.training and dropout > 0:
        weights = drop(weights, dropout)
    return (weights @ value).transpose(1, 2).contiguous(), weights
