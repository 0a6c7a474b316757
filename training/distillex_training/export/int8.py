"""int8 for CPUs: which parts of a network are stored or computed in 8 bits (benchmarks/bench_quantization.py).

Weights take 7 of their 8 bits. x86 processors without VNNI or AMX add two products of an activation and a weight in 16
bits, which 8-bit weights can saturate: a student could pick other labels there. With 7 bits, a network gives the same
everywhere; they cost no F1 (docs/how-to/serving.md).
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from distillex_matcher import CrfParameters, FeatureLayout, Features, Lexicon
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from torch import nn

from distillex_training.errors import ParityError
from distillex_training.export.cpu import CpuStudent
from distillex_training.export.onnx import INPUT_NAMES, OUTPUT_NAME, export_onnx, open_session
from distillex_training.export.options import Int8
from distillex_training.export.products import convolutions_as_products
from distillex_training.export.quantize import halve_words, quantize_tables
from distillex_training.export.quantized_graph import quantize_before_moving
from distillex_training.models import Student

LOG = logging.getLogger("distillex.export")

CALIBRATION_SENTENCES = 512
CALIBRATION_BATCH = 32
FLOAT_LAYERS = 1
"""The last product (tags) stays in float32: its results are the emissions, and it is a small part of the time."""
LEAST_AGREEMENT = 0.95


def calibration_batches(layout: FeatureLayout, base: Lexicon | None, texts: Sequence[str]) -> list[Features]:
    """Featurise raw texts for static quantisation, as serving would: the base lexicon, batches of similar length.

    Raises
    ------
    ValueError
        When there is no usable text.
    """
    featurizer = layout.featurizer(base)
    usable = [text for text in texts if text.strip() and len(text) <= featurizer.max_text_length]
    step = max(1, len(usable) // CALIBRATION_SENTENCES)
    chosen = sorted(usable[::step][:CALIBRATION_SENTENCES], key=len)
    if not chosen:
        raise ValueError("the calibration text has no sentence that the model could read")
    return [
        featurizer.featurize(chosen[begin : begin + CALIBRATION_BATCH])
        for begin in range(0, len(chosen), CALIBRATION_BATCH)
    ]


def export_quantized(
    model: nn.Module,
    layout: FeatureLayout,
    path: Path,
    int8: Int8,
    calibration: Sequence[Features] = (),
    *,
    crf: CrfParameters | None = None,
) -> None:
    """Write a model as ONNX with the chosen int8, checked.

    Parameters
    ----------
    model
        A student; or a teacher, whose tables always stay float32.
    layout
        The model's feature layout.
    path
        File to write.
    int8
        What is in 8 bits.
    calibration
        What :func:`calibration_batches` returns; needed for ``STATIC``.
    crf
        As of :func:`~distillex_training.export.onnx.export_onnx`.

    Raises
    ------
    ParityError
        When the float32 network differs from PyTorch, or the int8 one picks other labels for more than 5 % of the
        calibration text's characters.
    ValueError
        For ``STATIC`` without calibration.
    """
    if int8 is Int8.STATIC and not calibration:
        raise ValueError("static int8 needs calibration text (--calibration FILE: raw text, one sentence a line)")
    if isinstance(model, Student):
        model = _for_cpu(model, layout, int8)
    if int8 in (Int8.NONE, Int8.TABLES):
        export_onnx(model, layout, path, crf=crf)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        plain, quantized = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        export_onnx(model, layout, plain, crf=crf)
        if int8 is Int8.DYNAMIC:
            quantize_products(plain, quantized)
        else:
            quantize_with_calibration(plain, quantized, calibration)
        onnx.checker.check_model(str(quantized), full_check=True)
        if calibration:
            agreement = label_agreement(plain, quantized, calibration)
            LOG.info("%s int8 picks the label of float32 for %.2f %% of the characters", int8.value, 100 * agreement)
            if agreement < LEAST_AGREEMENT:
                raise ParityError(
                    f"{int8.value} int8 picks the label of float32 for {agreement:.1%} of the calibration text's "
                    f"characters; at least {LEAST_AGREEMENT:.0%} are accepted"
                )
        quantized.replace(path)
    LOG.info("%s: %.2f MB", path, path.stat().st_size / 1e6)


def _for_cpu(student: Student, layout: FeatureLayout, int8: Int8) -> CpuStudent:
    if int8 is Int8.STATIC:
        # Its other tables are quantised like the products that read them. With convolutions: their int8 kernels pad by
        # themselves.
        return CpuStudent(halve_words(student), layout)
    stored = student if int8 is Int8.NONE else quantize_tables(student)
    # Products are faster in float32 too.
    return convolutions_as_products(CpuStudent(stored, layout))


def quantize_products(source: Path, target: Path) -> None:
    """Quantise the matrix products with constant weights: 7 bits per channel, activations by each batch's range."""
    with _quiet():
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=quantizable_nodes(source, ("MatMul",)),
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )


def quantize_with_calibration(source: Path, target: Path, calibration: Sequence[Features]) -> None:
    """Quantise convolutions and products with constant weights: 7 bits per channel, activations by fixed ranges."""
    with _quiet():
        quantize_static(
            source,
            target,
            _Reader(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MatMul"],
            nodes_to_quantize=quantizable_nodes(source, ("Conv", "MatMul")),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            # Products give float32 by themselves: their results need no range.
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )
    network = onnx.load(target)
    quantize_before_moving(network)
    onnx.save(network, target)


def quantizable_nodes(path: Path, operators: Sequence[str]) -> list[str]:
    """Return the names of the nodes with constant weights, without the last product (tags)."""
    graph = onnx.load(path).graph
    constants = {initializer.name for initializer in graph.initializer}
    nodes = [n for n in graph.node if n.op_type in ("Conv", "MatMul") and len(n.input) > 1 and n.input[1] in constants]
    last = [node.name for node in nodes if node.op_type == "MatMul"][-FLOAT_LAYERS:]
    return [node.name for node in nodes if node.op_type in operators and node.name not in last]


def label_agreement(plain: Path, quantized: Path, batches: Sequence[Features]) -> float:
    """Share of real tokens for which two networks give the same label the highest emission, all being finite."""
    sessions = open_session(plain), open_session(quantized)
    same = total = 0
    for features in batches:
        first, second = (session.run([OUTPUT_NAME], _feeds(features))[0] for session in sessions)
        real = features.input_ids != 0
        # The highest of what is no number is the first label, which most characters have.
        finite = np.isfinite(first).all(-1) & np.isfinite(second).all(-1)
        same += int(((first.argmax(-1) == second.argmax(-1)) & finite)[real].sum())
        total += int(real.sum())
    return same / total


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, batches: Sequence[Features]) -> None:
        self._feeds = iter([_feeds(features) for features in batches])

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._feeds, None)


def _feeds(features: Features) -> dict[str, NDArray[Any]]:
    arrays = (features.input_ids, features.lexicon_types, features.lexicon_words, features.lexicon_weights)
    return dict(zip(INPUT_NAMES, arrays, strict=True))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # onnxruntime advises a pre-processing on the root logger that the exporter has done already.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
