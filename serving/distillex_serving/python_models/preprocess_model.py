"""Triton Python model of the ensemble, texts and lexicons → the network's inputs."""

from __future__ import annotations

from typing import Any

import triton_python_backend_utils as pb_utils
from distillex.lexicon_layers import LexiconLayers
from distillex_matcher import FeatureLayout, LayoutError, LexiconError
from distillex_matcher.lexicon_store import LexiconStore

from distillex_serving.python_models.answers import guarded, log_to_triton, refusal
from distillex_serving.python_models.callers import Callers
from distillex_serving.python_models.periodic import NOT_LET_GO, TIDY_PERIOD_S, Periodic
from distillex_serving.python_models.settings import ModelSettings
from distillex_serving.python_models.tensors import bytes_tensor, optional_rows_of, rows_of
from distillex_serving.python_models.text_metrics import TextMetrics


class PreprocessModel:
    """Featurise, padded to the contract's buckets. Contract: docs/reference/tensors.md."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the layout and the base lexicon; fails with one sentence where a file is missing or wrong."""
        log_to_triton()
        settings = ModelSettings.of(args)
        self._callers = Callers.of_environment(settings.name)
        try:
            layout = FeatureLayout.load(settings.folder)
            self._lexicons = LexiconLayers(layout, LexiconStore(settings.lexicon_directory), settings.limits)
        except (LayoutError, LexiconError) as error:
            raise pb_utils.TritonModelException(f"{settings.name} cannot start: {error}") from None
        self._metrics = TextMetrics(settings.name)
        self._tidying = Periodic(self._lexicons.let_go_of_removed, TIDY_PERIOD_S, NOT_LET_GO)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request."""
        sentence, count = "the text could not be prepared", self._metrics.count_refused_request
        return [guarded("preprocess", sentence, self._answer, request, count) for request in requests]

    def finalize(self) -> None:
        """End the threads, after a last report of the counts to Triton."""
        self._tidying.stop()
        self._metrics.stop()

    def _answer(self, request: Any) -> Any:
        texts = rows_of(request, "TEXT")
        rows = len(texts)
        names, words, trusts = (optional_rows_of(request, name, rows) for name in ("LEXICON_NAME", "LEXICON", "TRUST"))
        rights = None if self._callers is None else [self._callers.rights_of(request)] * rows
        featurizer, label = self._lexicons.featurizer()
        layers = self._lexicons.over(label, rows, names, words, trusts, rights=rights)
        features = featurizer.featurize(texts, layers.overlays, trusts=layers.trusts, strict=False)
        refused = [of_lexicon or of_text for of_lexicon, of_text in zip(layers.refused, features.errors, strict=True)]
        messages = [each.message if each is not None else "" for each in refused]
        self._metrics.count_rows(texts, refused, sum(layers.request_words))
        if any(refused):
            if rows == 1:
                return refusal(messages[0])
            features.lengths[[row for row in range(rows) if messages[row]]] = 0
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("INPUT_IDS", features.input_ids),
                pb_utils.Tensor("LEXICON_TYPES", features.lexicon_types),
                pb_utils.Tensor("LEXICON_WORDS", features.lexicon_words),
                pb_utils.Tensor("LEXICON_WEIGHTS", features.lexicon_weights),
                pb_utils.Tensor("LENGTH", features.lengths),
                bytes_tensor("WORDS", features.trusted.rows()),
                bytes_tensor("ERROR", [each.encode("utf-8", "backslashreplace") for each in messages]),
                bytes_tensor("LEXICON_VERSION", [each.encode() for each in layers.labels]),
            ]
        )
