"""Move quantisation before data movement in a graph: tables at export time, inputs before they are joined.

ONNX Runtime's quantiser puts a QuantizeLinear in front of each product. What lies before it often only moves numbers:
rows are gathered from tables, padded, joined. Moved as bytes they give the same product, and a constant table is
quantised at export: its file has a quarter of the bytes and no scales, and a run converts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

MOVED_INPUTS = {"Concat": None, "Gather": (0,), "Pad": (0,), "Reshape": (0,), "ScatterND": (0, 2)}
"""Operators whose output holds nothing but numbers of these inputs (None: all). Pad adds zeros."""


def quantize_before_moving(network: onnx.ModelProto) -> None:
    """Rewrite a network with QuantizeLinear nodes in place; the products read the same numbers as before.

    A tensor that is quantised both alone and joined with others is quantised once, in the range of them all.
    """
    _Rewriting(network.graph).run()


class _Rewriting:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants = {constant.name: constant for constant in graph.initializer}
        self.producers = {output: node for node in graph.node for output in node.output}
        self.nodes: list[onnx.NodeProto] = []
        self.quantized: dict[tuple[str, str], str] = {}
        """(tensor, scale) → the tensor in that scale."""

    def run(self) -> None:
        self._share_ranges()
        renamed: dict[str, str] = {}
        for node in self.graph.node:
            for index, name in enumerate(node.input):
                node.input[index] = renamed.get(name, name)
            if node.op_type == "QuantizeLinear":
                renamed[node.output[0]] = self._in_scale(node.input[0], node)
            else:
                self.nodes.append(node)
        del self.graph.node[:]
        self.graph.node.extend(self._needed())
        read = {name for node in self.graph.node for name in node.input}
        unread = [constant for constant in self.graph.initializer if constant.name not in read]
        for constant in unread:
            self.graph.initializer.remove(constant)

    def _share_ranges(self) -> None:
        wider: dict[tuple[str, ...], list[str]] = {}
        quantizers = [node for node in self.graph.node if node.op_type == "QuantizeLinear"]
        for quantizer in quantizers:
            joined = self.producers.get(quantizer.input[0])
            if joined is None or joined.op_type != "Concat":
                continue
            joined.input[:] = [self._unquantized(name) for name in joined.input]
            for other in quantizers:
                if other.input[0] in joined.input:
                    wider[tuple(other.input[1:])] = list(quantizer.input[1:])
        for node in self.graph.node:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                node.input[1:] = wider.get(tuple(node.input[1:]), node.input[1:])

    def _unquantized(self, name: str) -> str:
        """Return what is quantised and dequantised again, where ``name`` is that."""
        back = self.producers.get(name)
        there = self.producers.get(back.input[0]) if back is not None and back.op_type == "DequantizeLinear" else None
        return name if there is None else there.input[0]

    def _in_scale(self, name: str, quantizer: onnx.NodeProto) -> str:
        """Return the name of a tensor in a quantiser's scale; adds the nodes that compute it."""
        scale, zero = quantizer.input[1:3]
        key = name, scale
        if key not in self.quantized:
            self.quantized[key] = f"{name}_in_{scale}"
            source = self.producers.get(name)
            if name in self.constants:
                self._add_constant(name, scale, zero)
            elif source is not None and source.op_type == "ConstantOfShape":
                value = numpy_helper.from_array(
                    self._quantize(numpy_helper.to_array(source.attribute[0].t), scale, zero)
                )
                self._add("ConstantOfShape", list(source.input), key, value=value)
            elif source is not None and source.op_type in MOVED_INPUTS:
                self._add_moved(source, quantizer, key)
            else:
                self._add("QuantizeLinear", [name, scale, zero], key)
        return self.quantized[key]

    def _add_moved(self, source: onnx.NodeProto, quantizer: onnx.NodeProto, key: tuple[str, str]) -> None:
        moved = onnx.NodeProto()
        moved.CopyFrom(source)
        places: Iterable[int] = MOVED_INPUTS[source.op_type] or range(len(source.input))
        for place in places:
            moved.input[place] = self._in_scale(source.input[place], quantizer)
        if source.op_type == "Pad":
            moved.input[2:] = [quantizer.input[2], *source.input[3:]]
        moved.name = moved.output[0] = self.quantized[key]
        self.nodes.append(moved)

    def _add(self, operator: str, inputs: list[str], key: tuple[str, str], **attributes: object) -> None:
        name = self.quantized[key]
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))

    def _add_constant(self, name: str, scale: str, zero: str) -> None:
        values = self._quantize(numpy_helper.to_array(self.constants[name]), scale, zero)
        self.graph.initializer.append(numpy_helper.from_array(values, self.quantized[name, scale]))

    def _quantize(self, values: NDArray[Any], scale: str, zero: str) -> NDArray[Any]:
        step, origin = (numpy_helper.to_array(self.constants[name]) for name in (scale, zero))
        limits = np.iinfo(origin.dtype)
        steps: NDArray[Any] = np.rint(values / step) + origin
        return steps.clip(limits.min, limits.max).astype(origin.dtype)

    def _needed(self) -> list[onnx.NodeProto]:
        """Return the nodes that an output depends on."""
        read = {output.name for output in self.graph.output}
        needed = []
        for node in reversed(self.nodes):
            if read.intersection(node.output):
                needed.append(node)
                read.update(node.input)
        return needed[::-1]
