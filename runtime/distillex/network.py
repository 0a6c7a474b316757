"""The network of a student or a teacher: features → emissions; on a CPU, or opened for a GPU."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from distillex_matcher import LayoutError
from distillex_matcher.exported import NETWORK_FILE, ExportedFiles
from numpy.typing import NDArray

from distillex.device import Device
from distillex.models import is_trained_alone
from distillex.network_check import INPUTS, check_network

TRAINED_NETWORK = "distillex_training.models.trained_network"
"""The module that runs a trained model by PyTorch."""
WARM_UP_SHAPES = ((1, 32), (8, 64))
"""(rows, tokens) run before a network is ready: the first real text finds its memory in place."""


class EmissionNetwork(Protocol):
    """An opened network, wherever it runs."""

    files: ExportedFiles

    @property
    def where(self) -> str:
        """What runs it, for the log."""
        ...

    def run(
        self,
        input_ids: NDArray[np.int32],
        lexicon_types: NDArray[np.int32],
        lexicon_words: NDArray[np.int32],
        lexicon_weights: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return the emissions. *Shape:* [B, T] and three times [B, T, 4, K] → [B, T, L]."""
        ...


def open_network(folder: str | os.PathLike[str], device: Device) -> EmissionNetwork:
    """Open the network of a folder for a device.

    Raises
    ------
    LayoutError
        For files that are missing, wrong or another model's; the message names them.
    DeviceError
        Where the device, or what runs a network on it, is missing.
    """
    if device.gpu is None and is_trained_alone(Path(folder)):
        return _trained(folder)
    if device.gpu is None:
        return Network(folder)
    from distillex.gpu.network import GpuNetwork

    return GpuNetwork(folder, device)


def _trained(folder: str | os.PathLike[str]) -> EmissionNetwork:
    try:
        # Named, not imported: training builds on this package.
        module = importlib.import_module(TRAINED_NETWORK)
    except ModuleNotFoundError as error:
        raise LayoutError(
            f"{folder}: a trained model that was not exported; PyTorch runs it, and the Python package {error.name!r} "
            "is missing: pip install 'distillex[train]', or export the model"
        ) from None
    network: EmissionNetwork = module.TrainedNetwork(folder)
    return network


class Network:
    """A network opened in ONNX Runtime; may be run from several threads at once, and in a forked copy of the process.

    A run uses the thread that asks for it alone: several runs side by side beat one that is divided, whose short steps
    do not divide well.

    Parameters
    ----------
    folder
        Holds ``model.onnx`` with its layout and its CRF.

    Raises
    ------
    LayoutError
        For files that are missing, wrong or another model's; the message names them.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        path = Path(folder) / NETWORK_FILE
        self.files = ExportedFiles.beside(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # The fused skip + layer norm is scalar on the CPU: it costs more than the two steps (docs/how-to/serving.md).
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"]
            )
        except Exception as error:  # ONNX Runtime's own classes, which it does not export by name
            reason = "missing; 'distillex export' writes it" if not path.exists() else f"cannot be opened: {error}"
            raise LayoutError(f"{path}: {reason}") from None
        check_network(self._session, self.files)
        words_per_slot = self.files.layout.words_per_slot
        for rows, tokens in WARM_UP_SHAPES:
            words = np.zeros((rows, tokens, 4, words_per_slot), np.int32)
            self.run(np.ones((rows, tokens), np.int32), words, words, words.astype(np.float32))

    @property
    def where(self) -> str:
        """What runs it, for the log."""
        return f"CPUExecutionProvider of ONNX Runtime {onnxruntime.__version__}"

    def run(
        self,
        input_ids: NDArray[np.int32],
        lexicon_types: NDArray[np.int32],
        lexicon_words: NDArray[np.int32],
        lexicon_weights: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return the emissions. *Shape:* [B, T] and three times [B, T, 4, K] → [B, T, L].

        Those of padding are not defined.
        """
        inputs: dict[str, NDArray[Any]] = dict(
            zip(INPUTS, (input_ids, lexicon_types, lexicon_words, lexicon_weights), strict=True)
        )
        emissions: NDArray[np.float32] = self._session.run(["EMISSIONS"], inputs)[0]
        return emissions
