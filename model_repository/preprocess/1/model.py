"""Triton Python model: texts and lexicons → the student's inputs. Contract: docs/architecture.md."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from distillex_matcher import FeatureLayout, Featurizer, LayoutError, Lexicon, LexiconError
from distillex_matcher.lexicon_store import BASE_NAME, LexiconNameError, LexiconStore, UnknownLexiconError

CACHED_REQUEST_LEXICONS = 256


class BadRowError(ValueError):
    """One text of a request, or its lexicon, is refused; the message is for the caller."""


@dataclass(frozen=True)
class Limits:
    """What a request's own lexicon may hold."""

    entries: int
    size_bytes: int


class TritonPythonModel:
    """Preprocess."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the layout and the base lexicon; fails with one sentence where a file is missing or wrong."""
        parameters = {
            key: value["string_value"] for key, value in json.loads(args["model_config"])["parameters"].items()
        }
        repository = Path(args["model_repository"])
        directory = os.environ.get("DISTILLEX_LEXICON_DIR") or repository.parent / parameters["lexicon_directory"]
        self._limits = Limits(int(parameters["max_lexicon_entries"]), int(parameters["max_lexicon_bytes"]))
        self._store = LexiconStore(directory)
        self._request_lexicon = lru_cache(CACHED_REQUEST_LEXICONS)(self._build_request_lexicon)
        try:
            layout = FeatureLayout.load(repository / args["model_version"])
            self._base = self._store.current(BASE_NAME)
            self._featurizer: Featurizer = layout.featurizer(self._base.lexicon)
        except (LayoutError, LexiconError) as error:
            raise pb_utils.TritonModelException(f"preprocess cannot start: {error}") from None

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request; all of them see the same base lexicon."""
        self._follow_base()
        named: dict[str, tuple[Lexicon, str] | BadRowError] = {}
        return [self._guarded(request, named) for request in requests]

    def _guarded(self, request: Any, named: dict[str, tuple[Lexicon, str] | BadRowError]) -> Any:
        try:
            return self._answer(request, named)
        except BadRowError as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG))
        except Exception as error:  # one request's surprise must not fail the others of its batch
            pb_utils.Logger.log_error(f"preprocess: {type(error).__name__}: {error}")
            message = "the text could not be prepared; the server's log says why"
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.INTERNAL))

    def _follow_base(self) -> None:
        try:
            base = self._store.current(BASE_NAME)
            if base is not self._base:
                self._featurizer = self._featurizer.with_base(base.lexicon)
                self._base = base
        except (LexiconError, OSError) as error:
            pb_utils.Logger.log_error(f"the base lexicon stays at {self._base.label}: {error}")

    def _answer(self, request: Any, named: dict[str, tuple[Lexicon, str] | BadRowError]) -> Any:
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
                except BadRowError as error:
                    refused[row] = str(error)
                    overlays.append([])
        features = self._featurizer.featurize(texts.tolist(), overlays, strict=False)
        for row, problem in enumerate(features.errors):
            if problem is not None:
                refused[row] = refused[row] or problem
        if any(refused):
            if rows == 1:
                return pb_utils.InferenceResponse(
                    error=pb_utils.TritonError(refused[0], pb_utils.TritonError.INVALID_ARG)
                )
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
        self, label: str, name: bytes, words: bytes, named: dict[str, tuple[Lexicon, str] | BadRowError]
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

    def _named_lexicon(self, name: bytes, named: dict[str, tuple[Lexicon, str] | BadRowError]) -> tuple[Lexicon, str]:
        text = name.decode("utf-8", "replace")
        # One look at the store a batch and name: all of a batch's rows see the same version.
        if text not in named:
            try:
                installed = self._store.current(text)
                named[text] = (installed.lexicon, installed.label)
            except (LexiconNameError, UnknownLexiconError) as error:
                named[text] = BadRowError(f"LEXICON_NAME: {error}")
            except (LexiconError, OSError) as error:
                held = self._store.last_opened(text)
                pb_utils.Logger.log_error(f"lexicon {text} stays at {held.label if held else 'nothing'}: {error}")
                named[text] = (
                    (held.lexicon, held.label)
                    if held
                    else BadRowError(f"LEXICON_NAME: the lexicon {text!r} cannot be read; the server's log says why")
                )
        found = named[text]
        if isinstance(found, BadRowError):
            raise found
        return found

    def _build_request_lexicon(self, content: bytes) -> Lexicon:
        limits = self._limits
        if len(content) > limits.size_bytes:
            raise BadRowError(f"LEXICON has {len(content)} bytes; at most {limits.size_bytes} are accepted")
        try:
            words = json.loads(content.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise BadRowError(f"LEXICON is not UTF-8 (byte {error.start})") from None
        except json.JSONDecodeError as error:
            raise BadRowError(f"LEXICON is not JSON: {error}") from None
        except (ValueError, RecursionError):
            raise BadRowError(
                "LEXICON is not JSON: numbers that long, or brackets that deep, are not accepted"
            ) from None
        if not isinstance(words, dict):
            raise BadRowError('LEXICON must be a JSON object {"word": "type" or null}')
        if len(words) > limits.entries:
            raise BadRowError(f"LEXICON has {len(words)} entries; at most {limits.entries} are accepted")
        try:
            lexicon = Lexicon.from_words(words)
            self._featurizer.check_types(lexicon)
        except UnicodeError:
            raise BadRowError("LEXICON: a type name holds a lone surrogate") from None
        except LexiconError as error:
            raise BadRowError(f"LEXICON: {error}") from None
        return lexicon


def _optional_rows(request: Any, name: str, rows: int) -> list[bytes] | None:
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        return None
    values: list[bytes] = tensor.as_numpy().reshape(-1).tolist()
    if len(values) != rows:
        raise BadRowError(f"{name} has {len(values)} rows; TEXT has {rows}")
    return values
