"""Triton Python model: install, list and roll back named lexicons. Contract: docs/lexicons.md."""

from __future__ import annotations

import hmac
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from distillex_matcher import FeatureLayout, LayoutError, LexiconError
from distillex_matcher.lexicon_store import LexiconStore


class CommandError(ValueError):
    """A command is refused; the message is for the caller."""


class TritonPythonModel:
    """Lexicon administration."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Read the admin token from the environment, and the types that the served model knows."""
        repository = Path(args["model_repository"]).parent
        self._token = os.environ.get("DISTILLEX_ADMIN_TOKEN", "")
        self._store = LexiconStore(os.environ.get("DISTILLEX_LEXICON_DIR") or repository.parent / "lexicons")
        try:
            self._featurizer = FeatureLayout.load(repository / "preprocess" / "1").featurizer()
        except LayoutError as error:
            raise pb_utils.TritonModelException(f"lexicons cannot start: {error}") from None

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each command."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            self._check_token(_text(request, "TOKEN"))
            result = self._run(request)
        except (CommandError, LexiconError) as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG))
        except OSError as error:
            pb_utils.Logger.log_error(f"lexicons: {error}")
            message = f"the lexicon directory cannot be written ({error.strerror})"
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.INTERNAL))
        content = np.array([json.dumps(result, ensure_ascii=False).encode()], dtype=object)
        return pb_utils.InferenceResponse([pb_utils.Tensor("RESULT", content)])

    def _check_token(self, token: bytes) -> None:
        if not self._token:
            raise CommandError("this server takes no lexicons over the network: it was started without an admin token")
        if not hmac.compare_digest(token, self._token.encode()):
            raise CommandError("the admin token is wrong")

    def _run(self, request: Any) -> dict[str, Any]:
        try:
            command = json.loads(_text(request, "COMMAND"))
            action, name = command["action"], command.get("name", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CommandError('COMMAND must be JSON like {"action": "push", "name": "finance"}') from None
        if action == "push":
            installed = self._store.install(str(name), _text(request, "CONTENT"), self._featurizer.check_types)
            return {"name": name, "version": installed.version, "words": len(installed.lexicon)}
        if action == "rollback":
            version = command.get("version")
            if version is not None and type(version) is not int:
                raise CommandError(f"version {str(version)[:40]!r} is not a whole number")
            return {"name": name, "version": self._store.rollback(str(name), version)}
        if action == "list":
            return {
                "lexicons": [
                    {
                        "name": each,
                        "version": self._store.current_version(each),
                        "versions": self._store.versions(each),
                        "words": len(self._store.current(each).lexicon),
                    }
                    for each in self._store.names()
                ]
            }
        raise CommandError(f"unknown action {str(action)[:40]!r}; push, list and rollback are accepted")


def _text(request: Any, name: str) -> bytes:
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        raise CommandError(f"the input {name} is missing")
    values = tensor.as_numpy().reshape(-1)
    value: bytes = values[0]
    return value
