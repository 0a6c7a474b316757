"""Triton Python model of the ensemble, emissions → entities as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from distillex_matcher import CrfParameters, LayoutError

from distillex_serving.python_models.answers import guarded, refused_row
from distillex_serving.python_models.tensors import bytes_tensor


class DecodeModel:
    """Viterbi and posterior scores in C++. Contract: docs/architecture.md."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load crf.json; fails with one sentence where it is missing or wrong."""
        try:
            path = Path(args["model_repository"]) / args["model_version"] / "crf.json"
            self._decoder = CrfParameters.load(path).decoder()
        except LayoutError as error:
            raise pb_utils.TritonModelException(f"decode cannot start: {error}") from None

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request; a request whose emissions are unusable gets its own error."""
        sentence = "the model gave scores that cannot be decoded"
        return [guarded("decode", sentence, self._answer, request) for request in requests]

    def _answer(self, request: Any) -> Any:
        texts, emissions, lengths, errors = (
            pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in ("TEXT", "EMISSIONS", "LENGTH", "ERROR")
        )
        rows = self._decoder.entities_json(emissions, lengths, texts.reshape(-1).tolist())
        for row, message in enumerate(errors.reshape(-1).tolist()):
            if message:
                rows[row] = refused_row(message.decode())
        return pb_utils.InferenceResponse([bytes_tensor("ENTITIES", rows)])
