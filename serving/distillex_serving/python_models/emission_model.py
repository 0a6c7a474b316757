"""Triton Python model of the ensemble, features → emissions, on ONNX Runtime: for machines without a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from distillex.network import Network
from distillex.network_check import INPUTS
from distillex.row_groups import STEP, group_rows
from distillex_matcher import LayoutError
from numpy.typing import NDArray

from distillex_serving.python_models.answers import guarded
from distillex_serving.python_models.settings import ModelSettings


class EmissionModel:
    """Features → emissions. Padding is not computed: its emissions are 0."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Open model.onnx; fails with one sentence where it is missing, or other files than its own lie beside it."""
        settings = ModelSettings.of(args)
        self._options = settings.options
        try:
            self._network = Network(settings.folder)
        except LayoutError as error:
            raise pb_utils.TritonModelException(f"{settings.name} cannot start: {error}") from None
        self._labels = 1 + 4 * len(self._network.files.crf.entity_types)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run the rows of all requests, those of similar length together."""
        try:
            return self._answers(requests)
        except Exception:  # one request's surprise must not fail the others: each is run alone, and says its own
            sentence = "the features could not be scored"
            return [guarded("student or teacher", sentence, lambda r: self._answers([r])[0], r) for r in requests]

    def _answers(self, requests: list[Any]) -> list[Any]:
        inputs = [[pb_utils.get_input_tensor_by_name(r, name).as_numpy() for name in INPUTS] for r in requests]
        outputs = [np.zeros((*tensors[0].shape, self._labels), np.float32) for tensors in inputs]
        if len(inputs) == 1 and len(outputs[0]) == 1:
            self._fill_row(inputs[0], outputs[0])
        else:
            self._fill(inputs, outputs)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("EMISSIONS", output)]) for output in outputs]

    def _fill_row(self, tensors: list[NDArray[Any]], output: NDArray[np.float32]) -> None:
        # One text alone, the usual case on an idle server: there is nothing to divide.
        tokens = -(-int(np.count_nonzero(tensors[0])) // STEP) * STEP
        if tokens:
            emissions = self._network.run(*(tensor[:, :tokens] for tensor in tensors))
            output[:, :tokens] = emissions

    def _fill(self, inputs: list[list[NDArray[Any]]], outputs: list[NDArray[np.float32]]) -> None:
        lengths = np.concatenate([np.count_nonzero(tensors[0], axis=1) for tensors in inputs])
        owners = np.repeat(np.arange(len(inputs)), [len(output) for output in outputs])
        firsts = np.searchsorted(owners, np.arange(len(inputs)))
        for group in group_rows(lengths.tolist(), self._options.call_cost_tokens, self._options.most_tokens_per_run):
            # (request, its rows in this group), in the order in which the rows are run.
            rows = np.sort(np.array(group.rows))
            own = owners[rows]
            members = [(request, rows[own == request] - firsts[request]) for request in np.unique(own)]
            emissions = self._network.run(*(_joined(inputs, members, k, group.tokens) for k in range(len(INPUTS))))
            begin = 0
            for request, its in members:
                end = begin + len(its)
                outputs[request][its, : group.tokens] = emissions[begin:end, : outputs[request].shape[1]]
                begin = end


def _joined(
    inputs: list[list[NDArray[Any]]], members: list[tuple[int, NDArray[np.int64]]], k: int, tokens: int
) -> NDArray[Any]:
    """Return one input's rows of a group, cut to its tokens. *Shape:* [rows of the group, tokens, …]."""
    parts = []
    for request, own in members:
        tensor = inputs[request][k]
        cut = tensor[:, :tokens]
        if cut.shape[1] < tokens:
            # A bucket that is no multiple of the step.
            cut = np.pad(cut, [(0, 0), (0, tokens - cut.shape[1]), *[(0, 0)] * (cut.ndim - 2)])
        # All rows of a request: a slice, no gathering.
        parts.append(cut if len(own) == len(tensor) else cut[own])
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
