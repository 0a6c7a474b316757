"""How the weights of a model directory are stored: in full, in half precision, or with tables of int8 rows."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from distillex_training.errors import ModelDirectoryError
from distillex_training.weight_storage import Storage

TABLES = ("character_embedding", "bigram_embedding", "trigram_embedding")
"""The tables of a student whose rows survive 8 bits; most of its weights are in them."""
_SCALES = ".scales"


def quantize_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return int8 rows and the scale of each: ``row = scale × int8``.

    Rows that were made of such integers give the same integers again.

    Parameters
    ----------
    weight
        *Shape:* [N, D], any floating type.

    Returns
    -------
    *Shape:* [N, D], int8, and [N, 1], float32.
    """
    weight = weight.detach().float()
    scales = (weight.abs().amax(dim=1, keepdim=True) / 127.0).clamp_min(1e-12)
    return torch.round(weight / scales).clamp(-127, 127).to(torch.int8), scales


def stored(tensors: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """Return the tensors that a file holds.

    Raises
    ------
    ModelDirectoryError
        For a weight that float16 does not hold.
    """
    if storage is Storage.FLOAT32:
        return dict(tensors)
    held: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if storage is Storage.INT8_TABLES and name.removesuffix(".weight").rpartition(".")[-1] in TABLES:
            # By way of float16: its exported network is then the same.
            held[name], held[name + _SCALES] = quantize_rows(_half(name, tensor))
        else:
            held[name] = _half(name, tensor) if tensor.is_floating_point() else tensor
    return held


def restored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what :func:`stored` was given: floating types as float32, integers such as owners of rows as they are."""
    weights: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith(_SCALES):
            continue
        if (scales := tensors.get(name + _SCALES)) is not None:
            weights[name] = tensor * scales
        else:
            weights[name] = tensor.float() if tensor.is_floating_point() else tensor
    return weights


def _half(name: str, tensor: Tensor) -> Tensor:
    half = tensor.half()
    if not torch.isfinite(half).all():
        raise ModelDirectoryError(f"{name} holds what float16 does not: store the model in full precision")
    return half
