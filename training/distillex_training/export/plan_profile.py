"""The shapes a TensorRT plan is built for, computed from a model's feature layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
from distillex_matcher import FeatureLayout

from distillex_training.export.onnx import INPUT_NAMES, OUTPUT_NAME

MAX_BATCH = 64
"""As ``max_batch_size`` in model_repository/student/config.pbtxt."""
USUAL_BATCH = 32
USUAL_TOKENS = 64
SLOTS = 4

Shape = tuple[int, ...]
INPUT_TYPES = (onnx.TensorProto.INT32,) * 3 + (onnx.TensorProto.FLOAT,)


@dataclass(frozen=True)
class ShapeRange:
    """Smallest, usual and largest shape of one input: every shape between is accepted, the usual one is fastest."""

    smallest: Shape
    usual: Shape
    largest: Shape


@dataclass(frozen=True)
class PlanTensor:
    """One input or output of a plan."""

    data_type: str
    """As TensorRT names it: ``INT32``, ``FLOAT``."""
    shape: Shape
    """-1 where it varies."""
    profile: ShapeRange | None = None
    """Of an input."""


def optimization_profile(layout: FeatureLayout) -> dict[str, ShapeRange]:
    """Return the shape range of each input: batches of 1 to 64, tokens from the first bucket to the last."""
    tokens = min(layout.buckets, key=lambda bucket: (abs(bucket - USUAL_TOKENS), bucket))
    corners = ((1, layout.buckets[0]), (USUAL_BATCH, tokens), (MAX_BATCH, layout.buckets[-1]))
    words = (SLOTS, layout.words_per_slot)
    return {
        name: ShapeRange(*(corner if name == INPUT_NAMES[0] else (*corner, *words) for corner in corners))
        for name in INPUT_NAMES
    }


def check_interface(path: Path) -> None:
    """Check that a network's inputs and output are those of the served configuration: names, types, fixed sizes.

    Raises
    ------
    ValueError
        Naming what differs.
    """
    graph = onnx.load(path, load_external_data=False).graph
    found = [(value.name, value.type.tensor_type.elem_type) for value in graph.input]
    found += [(value.name, value.type.tensor_type.elem_type) for value in graph.output]
    expected = [*zip(INPUT_NAMES, INPUT_TYPES, strict=True), (OUTPUT_NAME, onnx.TensorProto.FLOAT)]
    if found != expected:
        raise ValueError(f"{path}: inputs and output are {_named(found)}; served are {_named(expected)}")


def _named(values: list[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {onnx.TensorProto.DataType.Name(kind)}" for name, kind in values)
