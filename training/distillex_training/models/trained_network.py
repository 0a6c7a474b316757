"""The network of a trained model's directory, run by PyTorch: what stands in for an exported one."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import torch
from distillex_matcher import FeatureLayout, LayoutError
from distillex_matcher.exported import WEIGHTS_FILE, ExportedFiles
from numpy.typing import NDArray

from distillex_training.errors import ModelDirectoryError
from distillex_training.models.directory import load_model, longest_input


class TrainedNetwork:
    """Features → emissions, in float32 on the CPU, as ``distillex.network.Network`` of an exported model.

    Parameters
    ----------
    folder
        A model directory, as training writes it: of a student or a teacher.

    Raises
    ------
    LayoutError
        For files that are missing, wrong or of two models; the message names them.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        directory = Path(folder)
        try:
            self._model, crf, layout = load_model(directory)
        except ModelDirectoryError as error:
            raise LayoutError(str(error)) from None
        limited = _limited(layout, longest_input(self._model, layout))
        self.files = ExportedFiles(directory / WEIGHTS_FILE, limited, crf.parameters_for_serving())

    @property
    def where(self) -> str:
        """What runs it, for the log."""
        return f"PyTorch {torch.__version__} on the CPU"

    def run(
        self,
        input_ids: NDArray[np.int32],
        lexicon_types: NDArray[np.int32],
        lexicon_words: NDArray[np.int32],
        lexicon_weights: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return the emissions. *Shape:* [B, T] and three times [B, T, 4, K] → [B, T, L]."""
        inputs = (input_ids, lexicon_types, lexicon_words, lexicon_weights)
        with torch.no_grad():
            emissions: NDArray[np.float32] = self._model(*map(torch.from_numpy, inputs)).float().numpy()
        return emissions


def _limited(layout: FeatureLayout, tokens: int) -> FeatureLayout:
    """Return a layout whose longest bucket is what the model reads at once."""
    return dataclasses.replace(layout, buckets=(*(each for each in layout.buckets if each < tokens), tokens))
