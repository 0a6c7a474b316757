"""Triton Python model of the ensemble, emissions → entities as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from distillex_matcher import CrfParameters, FeatureLayout, LayoutError, TrustedWords

from distillex_serving.python_models.answers import guarded, refused_row
from distillex_serving.python_models.tensors import bytes_tensor
from distillex_serving.python_models.text_metrics import TextMetrics


class DecodeModel:
    """Viterbi and posterior scores in C++. Contract: docs/reference/tensors.md."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the CRF and the layout, which names the lexicon's types; fails with one sentence where one is wrong."""
        try:
            folder = Path(args["model_repository"]) / args["model_version"]
            crf = CrfParameters.load(folder / "crf.json")
            self._decoder = crf.decoder(FeatureLayout.load(folder))
        except LayoutError as error:
            raise pb_utils.TritonModelException(f"decode cannot start: {error}") from None
        self._metrics = TextMetrics(args["model_name"], crf.entity_types, reads_texts=False)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request; a request whose emissions are unusable gets its own error."""
        sentence = "the model gave scores that cannot be decoded"
        return [guarded("decode", sentence, self._answer, request) for request in requests]

    def finalize(self) -> None:
        """Tell Triton what was counted last."""
        self._metrics.stop()

    def _answer(self, request: Any) -> Any:
        texts, emissions, lengths, words, errors = (
            pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in ("TEXT", "EMISSIONS", "LENGTH", "WORDS", "ERROR")
        )
        trusted = TrustedWords.from_rows(words.reshape(-1).tolist())
        rows = self._decoder.entities_json(emissions, lengths, texts.reshape(-1).tolist(), trusted)
        self._metrics.count_entities(rows)
        for row, message in enumerate(errors.reshape(-1).tolist()):
            if message:
                rows[row] = refused_row(message.decode())
        return pb_utils.InferenceResponse([bytes_tensor("ENTITIES", rows)])
