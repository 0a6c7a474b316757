"""Sum the words of each slot the way ONNX Runtime's CPU is fastest at: empty slots are skipped.

Some nine of ten slots hold no word. PyTorch has no operator for that whose ONNX form would be short, so the sum is an
operator of our own with an ONNX form of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import torch
from onnxscript import opset20 as op
from torch import Tensor
from torch.nn import functional


@torch.library.custom_op("distillex::slots", mutates_args=())
def slots(types: Tensor, rows: Tensor, weights: Tensor, type_table: Tensor, word_table: Tensor) -> Tensor:
    """Sum type and word vectors over the words of each slot, weighted, and join the slots.

    Parameters
    ----------
    types, rows
        Rows of the tables. *Shape:* [B, T, 4, K], integer.
    weights
        Not negative; a slot with no weight has the sum 0. *Shape:* [B, T, 4, K], float32.
    type_table, word_table
        *Shape:* [rows, E], float32 and float32 or float16.

    Returns
    -------
    Tensor
        *Shape:* [B, T, 4 E], float32.
    """
    vectors = functional.embedding(types, type_table) + functional.embedding(rows, word_table).to(type_table.dtype)
    return (vectors * weights.unsqueeze(-1)).sum(dim=3).flatten(2)


@slots.register_fake
def _shape_of_slots(types: Tensor, rows: Tensor, weights: Tensor, type_table: Tensor, word_table: Tensor) -> Tensor:
    del rows, weights, word_table
    return type_table.new_empty(types.shape[0], types.shape[1], types.shape[2] * type_table.shape[1])


def onnx_slots(types: Any, rows: Any, weights: Any, type_table: Any, word_table: Any) -> Any:
    """ONNX form of :func:`slots`: the slots with a weight are gathered, summed and put back. N: their number."""
    width = type_table.shape[1]
    heaviest = op.ReduceMax(weights, _integers(3), keepdims=0)  # [B, T, 4]
    places = op.Transpose(op.NonZero(heaviest), perm=[1, 0])  # [N, 3]
    places_of_rows = op.Unsqueeze(places, _integers(1))  # [N, 1, 3]
    type_vectors = op.Gather(type_table, op.GatherND(types, places))
    word_vectors = op.Cast(op.Gather(word_table, op.GatherND(rows, places)), to=onnx.TensorProto.FLOAT)
    # [N, 1, K] @ [N, K, E]
    sums = op.MatMul(op.GatherND(weights, places_of_rows), op.Add(type_vectors, word_vectors))
    zero = onnx.helper.make_tensor("zero", onnx.TensorProto.FLOAT, [1], [0.0])
    nothing = op.ConstantOfShape(op.Concat(op.Shape(heaviest), _integers(width), axis=0), value=zero)
    return op.Reshape(op.ScatterND(nothing, places_of_rows, sums), _integers(0, 0, types.shape[2] * width))


def _integers(*values: int) -> Any:
    return op.Constant(value_ints=values)


ONNX_FORMS: dict[Callable[..., Any], Callable[..., Any]] = {torch.ops.distillex.slots.default: onnx_slots}
"""For ``custom_translation_table`` of ``torch.onnx.export``."""
