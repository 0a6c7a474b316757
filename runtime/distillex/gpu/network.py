"""The network of a student or a teacher on a GPU: features → emissions, in runs of fixed shapes."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from distillex_matcher import FeatureLayout, LayoutError
from distillex_matcher.exported import GPU_NETWORK_FILE, METADATA_KEY, ExportedFiles, NetworkSizes
from numpy.typing import NDArray

from distillex.device import Device, Provider
from distillex.errors import DeviceError
from distillex.gpu.buckets import BATCHES, MOST_TOKENS, TRIED_TOKENS, Bucket, Buckets
from distillex.gpu.providers import Session, open_session, resolve, translated
from distillex.models import export_command
from distillex.network_check import INPUTS

LOG = logging.getLogger("distillex.gpu")
OUTPUT = "EMISSIONS"
TYPES = (np.int32, np.int32, np.int32, np.float32)
SLOTS = 4
WARM_UP_RUNS = 4
"""Of each bucket, before the network is ready: two find memory, one is recorded as a graph, one replays it."""

_owner: int | None = None
"""The process that uses a GPU. CUDA does not live in a forked copy of it."""


class GpuNetwork:
    """An opened network; may be run from several threads at once, in the process that opened it.

    All runs go through one thread: neither a CUDA graph nor its buffers may be used twice at a time, and ONNX Runtime
    keeps graphs by the thread that recorded them.

    Parameters
    ----------
    folder
        Holds ``model.gpu.onnx`` with its layout and its CRF.
    device
        A GPU.
    buckets
        Shapes to run; by default those of the layout.

    Raises
    ------
    LayoutError
        For files that are missing, wrong or another model's; the message names them.
    DeviceError
        Without a GPU, a driver, a provider or a library of it, or with too little memory.
    """

    def __init__(self, folder: str | os.PathLike[str], device: Device, buckets: Buckets | None = None) -> None:
        path = Path(folder) / GPU_NETWORK_FILE
        self.files = ExportedFiles.beside(path)
        if not path.exists():
            raise LayoutError(f"{path}: missing; '{export_command(path.parent, GPU_NETWORK_FILE)}' writes it")
        self._process = os.getpid()
        layout = self.files.layout
        most = TRIED_TOKENS if device.provider is Provider.CPU else MOST_TOKENS
        self._buckets = buckets or Buckets(layout.buckets, BATCHES, most)
        if self._buckets.longest < layout.buckets[-1]:
            raise ValueError(f"no bucket holds {layout.buckets[-1]} tokens, which {path.parent} is made for")
        device = find_device(device)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="distillex-gpu")
        self._bound: dict[Bucket, _Bound] = {}
        try:
            self._session = self._thread.submit(self._open, path, device).result()
        except BaseException:
            self._thread.shutdown()
            raise
        LOG.info("network: %s", self.where)

    @property
    def where(self) -> str:
        """What runs the network, and on which GPU."""
        return str(self._session)

    @property
    def provider(self) -> str:
        """Name of the provider: ``cuda``, ``tensorrt-rtx``, ``cpu``."""
        return self._session.provider.value

    def run(
        self,
        input_ids: NDArray[np.int32],
        lexicon_types: NDArray[np.int32],
        lexicon_words: NDArray[np.int32],
        lexicon_weights: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return the emissions. *Shape:* [B, T] and three times [B, T, 4, K] → [B, T, L].

        Those of padding are not defined.

        Raises
        ------
        DeviceError
            When the GPU fails; it will not recover in this process. In a forked copy of the process.
        """
        if os.getpid() != self._process:
            raise DeviceError(_forked(self._process))
        arrays = (input_ids, lexicon_types, lexicon_words, lexicon_weights)
        rows, tokens = input_ids.shape
        begin, parts = 0, []
        for bucket in self._buckets.cover(rows, tokens):
            end = min(rows, begin + bucket.rows)
            filled = [padded(array[begin:end], bucket) for array in arrays]
            part = self._thread.submit(self._run, bucket, filled).result()
            parts.append(part[: end - begin, :tokens])
            begin = end
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _open(self, path: Path, device: Device) -> Session:
        opened = open_session(path, device, _profile(self._buckets, self.files.layout))
        _check(opened.session, self.files)
        with translated(opened.gpu or "the CPU", "the buckets cannot be prepared"):
            for number, bucket in enumerate(self._buckets, 1):
                self._bound[bucket] = bound = _Bound(opened, bucket, number, self.files)
                nothing: list[NDArray[Any]] = [np.zeros(shape, dtype) for shape, dtype in bound.shapes]
                for _ in range(WARM_UP_RUNS if opened.gpu else 1):
                    bound.run(nothing)
        return opened

    def _run(self, bucket: Bucket, arrays: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        with translated(self._session.gpu or "the CPU", f"the run of {bucket} failed"):
            return self._bound[bucket].run(arrays)


def find_device(device: Device) -> Device:
    """Return the device with the provider that it will have, before a network is opened there.

    Raises
    ------
    DeviceError
        Where the GPU, its driver or a provider is missing. In a forked copy of the process that found one.
    """
    global _owner  # noqa: PLW0603
    # The driver, asked in a forked copy, would say something else.
    if _owner not in (None, os.getpid()):
        raise DeviceError(_forked(_owner))
    device = resolve(device)
    _owner = os.getpid()
    return device


def check_gpu_network(folder: Path) -> None:
    """Check, without a GPU, that a folder's network for GPUs can be opened, and is that of the files beside it.

    Raises
    ------
    LayoutError
        Where it is not; the message names the files.
    """
    path = folder / GPU_NETWORK_FILE
    _check(open_session(path, Device(0, Provider.CPU), {}).session, ExportedFiles.beside(path))


def _check(session: onnxruntime.InferenceSession, files: ExportedFiles) -> None:
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        # Ids beyond a table are an error on a CPU; on a GPU they would be read.
        raise LayoutError(f"{files.network}: does not say which files belong to it; export it again")
    words, labels = session.get_inputs()[1].shape[3], session.get_outputs()[0].shape[2]
    files.check(metadata, NetworkSizes(words_per_slot=words, labels=labels))


@dataclass(frozen=True)
class _Input:
    value: onnxruntime.OrtValue
    shape: tuple[int, ...]
    dtype: type


class _Bound:
    """The memory of one bucket on the device, bound to the session: the same addresses at each run."""

    def __init__(self, opened: Session, bucket: Bucket, number: int, files: ExportedFiles) -> None:
        self._opened = opened
        words = (bucket.rows, bucket.tokens, SLOTS, files.layout.words_per_slot)
        self._binding = opened.session.io_binding()
        self._inputs = []
        for name, dtype, shape in zip(INPUTS, TYPES, ((bucket.rows, bucket.tokens), words, words, words), strict=True):
            value = self._value(shape, dtype)
            self._binding.bind_ortvalue_input(name, value)
            self._inputs.append(_Input(value, shape, dtype))
        labels = 1 + 4 * len(files.crf.entity_types)
        self._output = self._value((bucket.rows, bucket.tokens, labels), np.float32)
        self._binding.bind_ortvalue_output(OUTPUT, self._output)
        self._options = onnxruntime.RunOptions()
        # The graph of this bucket; the two providers call it differently. 0 is taken.
        for key in ("gpu_graph_id", "cuda_graph_annotation_id"):
            self._options.add_run_config_entry(key, str(number))

    @property
    def shapes(self) -> list[tuple[tuple[int, ...], type]]:
        return [(each.shape, each.dtype) for each in self._inputs]

    def run(self, arrays: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Copy in, run, copy out; from one thread at a time."""
        self.copy_in(arrays)
        self.compute()
        return self.copy_out()

    def copy_in(self, arrays: Sequence[NDArray[Any]]) -> None:
        for each, array in zip(self._inputs, arrays, strict=True):
            self._fill(each.value, array)
        self._binding.synchronize_inputs()

    def compute(self) -> None:
        self._opened.session.run_with_iobinding(self._binding, self._options)
        self._binding.synchronize_outputs()

    def copy_out(self) -> NDArray[np.float32]:
        emissions: NDArray[np.float32] = self._output.numpy()
        # Of a CPU it is the memory itself, which the next run writes to.
        return emissions.copy() if self._opened.gpu is None else emissions

    def _value(self, shape: tuple[int, ...], dtype: type) -> onnxruntime.OrtValue:
        make = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        if self._opened.memory_info is not None:
            return make(shape, dtype, memory_info=self._opened.memory_info)
        gpu = self._opened.gpu
        return make(shape, dtype, "cpu", 0) if gpu is None else make(shape, dtype, "cuda", gpu.ordinal)

    def _fill(self, value: onnxruntime.OrtValue, array: NDArray[Any]) -> None:
        if self._opened.memory_info is None:
            value.update_inplace(array)
        else:
            onnxruntime.copy_tensors([onnxruntime.OrtValue.ortvalue_from_numpy(array)], [value])


def padded(array: NDArray[Any], bucket: Bucket) -> NDArray[Any]:
    """Return an array of the bucket's shape. *Shape:* [rows, tokens, …]."""
    rows, tokens = array.shape[:2]
    if (rows, tokens) == (bucket.rows, bucket.tokens):
        return np.ascontiguousarray(array)
    padded = np.zeros((bucket.rows, bucket.tokens, *array.shape[2:]), array.dtype)
    padded[:rows, :tokens] = array
    return padded


def _profile(buckets: Buckets, layout: FeatureLayout) -> dict[str, tuple[str, str, str]]:
    """Return the smallest, usual and largest shape of each input."""
    every = list(buckets)
    usual = min(every, key=lambda bucket: (abs(bucket.rows - 32), abs(bucket.tokens - 64)))
    corners = [
        (min(each.rows for each in every), min(each.tokens for each in every)),
        (usual.rows, usual.tokens),
        (max(each.rows for each in every), max(each.tokens for each in every)),
    ]
    words = (SLOTS, layout.words_per_slot)
    profile = {}
    for name in INPUTS:
        shapes = ["x".join(map(str, corner if name == INPUTS[0] else (*corner, *words))) for corner in corners]
        profile[name] = (shapes[0], shapes[1], shapes[2])
    return profile


def _forked(owner: int | None) -> str:
    return (
        f"process {os.getpid()} was forked from process {owner}, which uses a GPU: CUDA does not work in a forked "
        "copy. Start workers anew (multiprocessing.get_context('spawn')), or before the GPU is first used"
    )
