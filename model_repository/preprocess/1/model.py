"""Triton Python model: texts and lexicons → the student's inputs. Contract: docs/architecture.md."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from distillex_matcher import FeatureLayout, Featurizer, LayoutError, Lexicon, LexiconError
from distillex_matcher.lexicon_store import BASE_NAME, LexiconNameError, LexiconStore, UnknownLexiconError
from distillex_serving.python_models.answers import guarded, log_error, refusal
from distillex_serving.python_models.refused import RefusedError
from distillex_serving.python_models.request_lexicons import Limits, RequestLexicons


class TritonPythonModel:
    """Preprocess."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the layout and the base lexicon; fails with one sentence where a file is missing or wrong."""
        parameters = {
            key: value["string_value"] for key, value in json.loads(args["model_config"])["parameters"].items()
        }
        repository = Path(args["model_repository"])
        directory = os.environ.get("DISTILLEX_LEXICON_DIR") or repository.parent / parameters["lexicon_directory"]
        limits = Limits(*(int(parameters[limit.name]) for limit in dataclasses.fields(Limits)))
        self._store = LexiconStore(directory)
        self._stays: dict[str, str] = {}
        try:
            layout = FeatureLayout.load(repository / args["model_version"])
            self._base = self._store.current(BASE_NAME)
            self._featurizer: Featurizer = layout.featurizer(self._base.lexicon)
        except LayoutError as error:
            raise pb_utils.TritonModelException(f"preprocess cannot start: {error}") from None
        except (LexiconError, OSError) as error:
            raise pb_utils.TritonModelException(f"preprocess cannot start: {error} (lexicons of {directory})") from None
        self._request_lexicon = RequestLexicons(limits, self._featurizer.check_types)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request; all of them see the same base lexicon."""
        self._follow_base()
        named: dict[str, tuple[Lexicon, str] | RefusedError] = {}

        def answer(request: Any) -> Any:
            return self._answer(request, named)

        return [guarded("preprocess", "the text could not be prepared", answer, request) for request in requests]

    def _follow_base(self) -> None:
        try:
            base = self._store.current(BASE_NAME)
            if base is not self._base:
                self._featurizer = self._featurizer.with_base(base.lexicon)
                self._base = base
            self._stays.pop(BASE_NAME, None)
        except Exception as error:  # whatever is wrong with a new base lexicon, the old one answers
            self._say_what_stays(BASE_NAME, self._base.label, error)

    def _say_what_stays(self, name: str, label: str, error: Exception) -> None:
        """Log why an older version answers: once, not with every batch."""
        message = f"the lexicon {name} stays at {label}: {error}"
        if self._stays.get(name) != message:
            self._stays[name] = message
            log_error(message)

    def _answer(self, request: Any, named: dict[str, tuple[Lexicon, str] | RefusedError]) -> Any:
        texts = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy().reshape(-1)
        rows = len(texts)
        lexicons = _optional_rows(request, "LEXICON", rows)
        names = _optional_rows(request, "LEXICON_NAME", rows)
        label = self._base.label
        versions = np.full((rows, 1), label, dtype=object)
        refused: list[str] = [""] * rows
        overlays: list[list[Lexicon]] | None = None
        if lexicons is not None or names is not None:
            overlays = []
            for row in range(rows):
                try:
                    laid, versions[row, 0] = self._overlays(
                        label,
                        names[row] if names is not None else b"",
                        lexicons[row] if lexicons is not None else b"",
                        named,
                    )
                    overlays.append(laid)
                except RefusedError as error:
                    refused[row] = str(error)
                    overlays.append([])
        features = self._featurizer.featurize(texts.tolist(), overlays, strict=False)
        for row, problem in enumerate(features.errors):
            if problem is not None:
                refused[row] = refused[row] or problem
        if any(refused):
            if rows == 1:
                return refusal(refused[0])
            features.lengths[[row for row in range(rows) if refused[row]]] = 0
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("INPUT_IDS", features.input_ids),
                pb_utils.Tensor("LEXICON_TYPES", features.lexicon_types),
                pb_utils.Tensor("LEXICON_WORDS", features.lexicon_words),
                pb_utils.Tensor("LEXICON_WEIGHTS", features.lexicon_weights),
                pb_utils.Tensor("LENGTH", features.lengths),
                pb_utils.Tensor("ERROR", np.array(refused, dtype=object).reshape(rows, 1)),
                pb_utils.Tensor("LEXICON_VERSION", versions),
            ]
        )

    def _overlays(
        self, label: str, name: bytes, words: bytes, named: dict[str, tuple[Lexicon, str] | RefusedError]
    ) -> tuple[list[Lexicon], str]:
        laid = []
        # The base lexicon is under every answer anyway: laid over itself its words would lose their embeddings.
        if name and name != BASE_NAME.encode():
            lexicon, version = self._named_lexicon(name, named)
            laid.append(lexicon)
            label += f"+{version}"
        if words:
            lexicon = self._request_lexicon(words)
            if len(lexicon):
                laid.append(lexicon)
                label += "+request"
        return laid, label

    def _named_lexicon(self, name: bytes, named: dict[str, tuple[Lexicon, str] | RefusedError]) -> tuple[Lexicon, str]:
        text = name.decode("utf-8", "replace")
        # One look at the store a batch and name: all of a batch's rows see the same version.
        if text not in named:
            try:
                installed = self._store.current(text)
                named[text] = (installed.lexicon, installed.label)
                self._stays.pop(text, None)
            except (LexiconNameError, UnknownLexiconError) as error:
                named[text] = RefusedError(f"LEXICON_NAME: {error}")
            except (LexiconError, OSError) as error:
                held = self._store.last_opened(text)
                self._say_what_stays(text, held.label if held else "nothing", error)
                named[text] = (
                    (held.lexicon, held.label)
                    if held
                    else RefusedError(f"LEXICON_NAME: the lexicon {text!r} cannot be read; the server's log says why")
                )
        found = named[text]
        if isinstance(found, RefusedError):
            raise found
        return found


def _optional_rows(request: Any, name: str, rows: int) -> list[bytes] | None:
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        return None
    values: list[bytes] = tensor.as_numpy().reshape(-1).tolist()
    if len(values) != rows:
        raise RefusedError(f"{name} has {len(values)} rows; TEXT has {rows}")
    return values
