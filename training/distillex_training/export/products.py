"""Convolutions as matrix products: faster on ONNX Runtime's CPU kernels, and what it has dynamic int8 kernels for."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

Model = TypeVar("Model", bound=nn.Module)


class ProductConvolution(nn.Module):
    """A dilated 1-D convolution as one product: the shifted inputs side by side times all taps' weights."""

    def __init__(self, convolution: nn.Conv1d) -> None:
        super().__init__()
        self.taps, self.dilation = convolution.kernel_size[0], convolution.dilation[0]
        self.padding = int(convolution.padding[0])
        self.product = nn.Linear(convolution.in_channels * self.taps, convolution.out_channels)
        with torch.no_grad():
            self.product.weight.copy_(convolution.weight.permute(0, 2, 1).flatten(1))
            if convolution.bias is None:
                self.product.bias.zero_()
            else:
                self.product.bias.copy_(convolution.bias)

    def forward(self, channels_first: Tensor) -> Tensor:
        """*Shape:* [B, channels, T] → [B, out channels, T], as a convolution."""
        hidden = channels_first.transpose(1, 2)
        tokens = hidden.shape[1]
        padded = functional.pad(hidden, (0, 0, self.padding, self.padding))
        shifted = [padded[:, tap * self.dilation : tap * self.dilation + tokens] for tap in range(self.taps)]
        result: Tensor = self.product(torch.cat(shifted, dim=-1))
        return result.transpose(1, 2)


def convolutions_as_products(model: Model) -> Model:
    """Return a copy of a model whose convolutions (depthwise ones aside) are matrix products; same results."""
    changed = copy.deepcopy(model).eval()
    for parent in list(changed.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv1d) and child.groups == 1:
                setattr(parent, name, ProductConvolution(child))
    return changed
