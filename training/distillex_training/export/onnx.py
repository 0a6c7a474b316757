"""PyTorch → ONNX with dynamic batch and length, in float32 or float16, checked against PyTorch."""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from distillex_matcher import CrfParameters, FeatureLayout, Features
from distillex_matcher.cores import usable_cores
from distillex_matcher.exported import METADATA_KEY, describe
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
)
from torch import nn

from distillex_training.errors import ParityError
from distillex_training.evaluate import EmissionFunction
from distillex_training.export.cpu import CpuStudent, keep_residuals_apart
from distillex_training.export.parity import largest_of
from distillex_training.export.plain_graph import make_plain
from distillex_training.export.slots import ONNX_FORMS
from distillex_training.models import Student, Teacher
from distillex_training.models.encoders import attend_plainly
from distillex_training.models.owners import keys_with_rows

LOG = logging.getLogger("distillex.export")

INPUT_NAMES = ("INPUT_IDS", "LEXICON_TYPES", "LEXICON_WORDS", "LEXICON_WEIGHTS")
OUTPUT_NAME = "EMISSIONS"
OPSET = 20
"""The first with GELU as one operator."""
IR_VERSION = 9
"""The newest that ONNX Runtime 1.17 reads, the oldest that is accepted (pyproject.toml)."""
PARITY = 1e-4
"""Largest difference from PyTorch, absolute."""
HALF_PARITY = 2e-3
"""The same of a float16 network from the float32 one, as a share of the largest emission."""
LONGEST = 65536
"""Tokens that a network without positions reads at once."""
CHECKED_SHAPES = ((1, 16), (3, 32), (2, 64), (1, 512))
"""(batch, tokens) at which ONNX Runtime must agree with PyTorch."""


class HalfPrecision(nn.Module):
    """A model with float16 weights and arithmetic whose inputs and output stay as they are served.

    Every type stands in the graph, which is what a strongly typed TensorRT network takes its types from.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).half().eval()

    def forward(
        self,
        input_ids: torch.Tensor,
        lexicon_types: torch.Tensor,
        lexicon_words: torch.Tensor,
        lexicon_weights: torch.Tensor,
    ) -> torch.Tensor:
        """*Shape:* as of the model; emissions in float32."""
        emissions: torch.Tensor = self.model(input_ids, lexicon_types, lexicon_words, lexicon_weights.half())
        return emissions.float()


def random_inputs(layout: FeatureLayout, batch: int, tokens: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Draw valid model inputs, with padding in the last row.

    Returns
    -------
    tuple
        int32 [B, T], int32 [B, T, 4, K] twice, float32 [B, T, 4, K].
    """
    generator = np.random.default_rng(seed)
    shape = (batch, tokens, 4, layout.words_per_slot)
    ids = generator.integers(1, len(layout.vocabulary), (batch, tokens), dtype=np.int32)
    ids[-1, tokens // 2 :] = 0
    present = generator.random(shape) < 0.3
    types = np.where(present, generator.integers(1, len(layout.types) + 1, shape), 0).astype(np.int32)
    words = np.where(present, generator.integers(0, layout.word_hash_size, shape), 0).astype(np.int32)
    weights = np.where(present, generator.random(shape), 0).astype(np.float32)
    return tuple(torch.from_numpy(array) for array in (ids, types, words, weights))


def inputs_of(
    model: nn.Module, layout: FeatureLayout, batch: int, tokens: int, seed: int = 0
) -> tuple[torch.Tensor, ...]:
    """Return :func:`random_inputs` that suit a model.

    A model that reads distinct words gets them. For a student whose table rows have owners, about half of the bigrams
    and words are owners.
    """
    reads_distinct = not isinstance(model, CpuStudent) or model.folds_words
    read = layout.with_distinct_words() if reads_distinct else layout
    ids, types, words, weights = random_inputs(read, batch, tokens, seed)
    if isinstance(model, CpuStudent):
        model = model.student
    if not isinstance(model, Student):
        return ids, types, words, weights
    generator = torch.Generator().manual_seed(seed)
    known_words = keys_with_rows(model.fusion.word_owners)
    if len(known_words):
        drawn = known_words[torch.randint(len(known_words), words.shape, generator=generator)]
        words = torch.where((words > 0) & (torch.rand(words.shape, generator=generator) < 0.5), drawn, words)
    known_bigrams = torch.stack(model.characters_of(keys_with_rows(model.bigram_owners)), dim=-1)
    known_bigrams = known_bigrams[known_bigrams[:, 1] != 0]  # no padding within the text
    if len(known_bigrams):
        pairs = ids[:, : tokens // 2 * 2].view(batch, -1, 2)
        known = known_bigrams[torch.randint(len(known_bigrams), pairs.shape[:2], generator=generator)]
        pairs.copy_(torch.where((pairs != 0).all(-1, keepdim=True), known, pairs))
    return ids, types, words, weights


def export_onnx(
    model: nn.Module, layout: FeatureLayout, path: Path, *, crf: CrfParameters | None = None, half: bool = False
) -> float:
    """Write ``model`` as ONNX, atomically, after checking it.

    Parameters
    ----------
    model
        Student, its form for CPUs, or teacher.
    layout
        The model's feature layout.
    path
        File to write.
    crf
        The CRF that reads the emissions, for the network to tell another one from it (``distillex_matcher.exported``).
    half
        Write a float16 network (inputs and output keep their types); for GPUs.

    Returns
    -------
    float
        Largest absolute difference from PyTorch's float32 over :data:`CHECKED_SHAPES`.

    Raises
    ------
    ParityError
        When that difference is above 1e-4; with ``half``, above 0.2 % of the largest emission.
    ValueError
        For a teacher whose encoder reads shorter texts than are served, or word pieces.
    """
    if isinstance(model, Teacher) and model.config.word_pieces:
        raise ValueError(
            "this teacher reads word pieces (word_pieces: true), and its tokenizer is no part of a network: PyTorch "
            "alone runs it (distillex label, distill, evaluate, distillex.load of its directory); distil a student "
            "from it, or train it with word_pieces: false"
        )
    longest = model.longest_input if isinstance(model, Teacher) else None
    if longest is not None and longest < layout.buckets[-1]:
        raise ValueError(f"the encoder reads {longest} tokens; served are up to {layout.buckets[-1]}")
    model = model.eval()
    written = with_plain_attention(model) if isinstance(model, Teacher) else model
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        temporary = Path(folder) / "model.onnx"
        batch = torch.export.Dim("batch", min=1, max=4096)
        length = torch.export.Dim("tokens", min=2, max=longest or LONGEST)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                HalfPrecision(written) if half else written,
                random_inputs(layout, 3, 24),
                temporary,
                input_names=list(INPUT_NAMES),
                output_names=[OUTPUT_NAME],
                dynamic_shapes=tuple({0: batch, 1: length} for _ in INPUT_NAMES),
                opset_version=OPSET,
                dynamo=True,
                custom_translation_table=ONNX_FORMS,
                external_data=False,
                verbose=False,
            )
        config: Any = model.config
        network = onnx.load(temporary)
        network.ir_version = IR_VERSION
        forget_origins(network)
        onnx.helper.set_model_props(network, {METADATA_KEY: describe(layout, config.entity_types, crf)})
        if isinstance(model, CpuStudent):
            keep_residuals_apart(network.graph)
        else:
            make_plain(network)
        onnx.save(network, temporary)
        onnx.checker.check_model(str(temporary), full_check=True)
        difference, largest = largest_difference(model, layout, temporary)
        accepted = HALF_PARITY * largest if half else PARITY
        if not difference <= accepted:
            raise ParityError(
                f"ONNX Runtime differs from PyTorch by {difference:.2e}; at most {accepted:.0e} is accepted"
            )
        temporary.replace(path)
    LOG.info("%s: %.2f MB, differs from PyTorch by %.1e", path.name, path.stat().st_size / 1e6, difference)
    return difference


def with_plain_attention(teacher: Teacher) -> Teacher:
    """Return a copy whose encoder computes attention as products and a softmax, which compilers for GPUs join into one.

    PyTorch's own attention exports more: shapes that are computed at run time, and a guard against rows that attend
    to nothing, which no text of ours has.
    """
    changed = copy.deepcopy(teacher)
    attend_plainly(changed.encoder)
    return changed


def forget_origins(network: onnx.ModelProto) -> None:
    """Remove what the exporter notes of each part: source files and lines, with this machine's paths."""
    graph = network.graph
    parts = (graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output)
    for part in (*parts, *network.functions, *(node for function in network.functions for node in function.node)):
        del part.metadata_props[:]
        part.doc_string = ""


def largest_difference(model: nn.Module, layout: FeatureLayout, path: Path) -> tuple[float, float]:
    """Compare PyTorch and ONNX Runtime on real tokens of random inputs.

    Returns
    -------
    tuple
        As of :func:`~distillex_training.export.parity.largest_of`.
    """
    session = open_session(path)

    def run(batch: int, tokens: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        inputs = inputs_of(model, layout, batch, tokens, seed=tokens)
        with torch.no_grad():
            expected = model(*inputs).numpy()
        feeds = {name: tensor.numpy() for name, tensor in zip(INPUT_NAMES, inputs, strict=True)}
        return session.run([OUTPUT_NAME], feeds)[0], expected, inputs[0].numpy() != 0

    return largest_of(run(batch, tokens) for batch, tokens in CHECKED_SHAPES)


def open_session(path: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """Open a model in ONNX Runtime on the CPU; 0 threads: one a usable core.

    Raises
    ------
    ValueError
        For a file that ONNX Runtime cannot run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile) as error:
        raise ValueError(f"{path}: ONNX Runtime cannot run it: {error}") from None


def onnx_emissions(network: Path | onnxruntime.InferenceSession, threads: int = 0) -> EmissionFunction:
    """Return an emission function on ONNX Runtime, for :func:`distillex_training.evaluate.predict`."""
    session = open_session(network, threads) if isinstance(network, Path) else network

    def run(features: Features) -> NDArray[np.float32]:
        arrays = (features.input_ids, features.lexicon_types, features.lexicon_words, features.lexicon_weights)
        emissions: NDArray[np.float32] = session.run([OUTPUT_NAME], dict(zip(INPUT_NAMES, arrays, strict=True)))[0]
        return emissions

    return run
