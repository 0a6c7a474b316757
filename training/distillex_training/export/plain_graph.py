"""Export a network as a plain ONNX graph, without shapes to compute or types to convert, for GPU compilers.

PyTorch's exporter computes the target of every reshape from the sizes of the inputs, and sums float16 in float32.
Neither is needed: ONNX says a target in a constant (0 takes a size over, -1 is the one that follows from the others),
and a kernel that sums float16 adds up in float32 by itself. What depends on the number of tokens (a teacher's positions
and the mask of its attention) is still computed as the network runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnxscript.optimizer import remove_unused_nodes

Size = int | str | None
"""A number, the name of a size, or None where nothing is known."""


def make_plain(network: onnx.ModelProto) -> None:
    """Rewrite reshapes and sums, and remove what is unused then."""
    inferred = onnx.shape_inference.infer_shapes(network).graph
    known = {value.name: value.type.tensor_type for value in (*inferred.value_info, *inferred.input, *inferred.output)}
    _reshape_to_constants(network.graph, known)
    _sum_without_casts(network.graph, known)
    remove_unused_nodes(network)


def _reshape_to_constants(graph: onnx.GraphProto, known: Mapping[str, Any]) -> None:
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        target = constant_target(_sizes(known.get(node.input[0])), _sizes(known.get(node.output[0])))
        if target is not None:
            name = f"{node.output[0]}_sizes"
            graph.initializer.append(onnx.numpy_helper.from_array(np.array(target, np.int64), name))
            node.input[1] = name
            del node.attribute[:]  # allowzero, by which 0 would be a size


def constant_target(before: Sequence[Size] | None, after: Sequence[Size] | None) -> list[int] | None:
    """Return the second input of ONNX's Reshape from one shape to another; None where no constant can say it."""
    if before is None or after is None or 0 in after:
        return None
    target = []
    for place, size in enumerate(after):
        if isinstance(size, int):
            target.append(size)
        else:
            target.append(0 if size is not None and size in before[place : place + 1] else -1)
    return target if target.count(-1) <= 1 else None


def _sizes(tensor: Any) -> list[Size] | None:
    if tensor is None or not tensor.HasField("shape"):
        return None
    return [size.dim_value if size.HasField("dim_value") else size.dim_param or None for size in tensor.shape.dim]


def _sum_without_casts(graph: onnx.GraphProto, known: Mapping[str, Any]) -> None:
    """Let float16 → float32 → sum → float16 be a sum of float16."""
    made_by = {name: node for node in graph.node for name in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    for narrowed in list(graph.node):
        total = made_by.get(narrowed.input[0]) if _casts_to(narrowed, onnx.TensorProto.FLOAT16) else None
        if total is None or total.op_type != "ReduceSum" or uses[total.output[0]] > 1:
            continue
        widened = made_by.get(total.input[0])
        if widened is None or not _casts_to(widened, onnx.TensorProto.FLOAT):
            continue
        source = known.get(widened.input[0])
        if source is not None and source.elem_type == onnx.TensorProto.FLOAT16:
            total.input[0], total.output[0] = widened.input[0], narrowed.output[0]
            graph.node.remove(narrowed)


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and any(each.name == "to" and each.i == kind for each in node.attribute)
