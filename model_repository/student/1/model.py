"""Triton Python model: the student on ONNX Runtime, for machines without a GPU."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

INPUTS = ("INPUT_IDS", "LEXICON_TYPES", "LEXICON_WORDS", "LEXICON_WEIGHTS")


class TritonPythonModel:
    """Features → emissions."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Open model.onnx; fails with one sentence where it is missing."""
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        if not path.exists():
            raise pb_utils.TritonModelException(f"{path}: missing; 'distillex export --target repository' writes it")
        parameters = json.loads(args["model_config"])["parameters"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(parameters["intra_op_threads"]["string_value"]) or (os.cpu_count() or 1)
        # Threads that spin between runs take the cores away from the server's other processes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run the requests of each bucket as one batch."""
        inputs = [[pb_utils.get_input_tensor_by_name(r, name).as_numpy() for name in INPUTS] for r in requests]
        buckets: dict[int, list[int]] = {}
        for index, tensors in enumerate(inputs):
            buckets.setdefault(tensors[0].shape[1], []).append(index)
        responses: list[Any] = [None] * len(requests)
        for indices in buckets.values():
            joined = (
                inputs[indices[0]]
                if len(indices) == 1
                else [np.concatenate([inputs[i][k] for i in indices]) for k in range(len(INPUTS))]
            )
            emissions = self._session.run(["EMISSIONS"], dict(zip(INPUTS, joined, strict=True)))[0]
            begin = 0
            for i in indices:
                end = begin + inputs[i][0].shape[0]
                responses[i] = pb_utils.InferenceResponse([pb_utils.Tensor("EMISSIONS", emissions[begin:end])])
                begin = end
        return responses
