"""Triton Python model: install, list, roll back and prune named lexicons. Contract: docs/lexicons.md."""

from __future__ import annotations

import dataclasses
import hmac
import json
import os
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from distillex.refused import RefusedError
from distillex.strict_json import parse_json
from distillex_matcher import FeatureLayout, LayoutError, LexiconError
from distillex_matcher.lexicon_store import LexiconStore

from distillex_serving.python_models.answers import failure, guarded, log_error
from distillex_serving.python_models.settings import ModelSettings
from distillex_serving.python_models.tensors import rows_of

FIELDS = {
    "push": {"name", "replace_base"},
    "list": set(),
    "rollback": {"name", "version"},
    "prune": {"name", "keep"},
}
"""Of each action, beside "action" itself."""


class LexiconsModel:
    """Lexicon administration."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Read the admin token from the environment, and the types that the served model knows."""
        settings = ModelSettings.of(args)
        self._token = os.environ.get("DISTILLEX_ADMIN_TOKEN", "")
        self._store = LexiconStore(settings.lexicon_directory)
        try:
            self._featurizer = FeatureLayout.load(settings.folder).featurizer()
        except LayoutError as error:
            raise pb_utils.TritonModelException(f"lexicons cannot start: {error}") from None

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each command."""
        return [guarded("lexicons", "the command failed", self._answer, request) for request in requests]

    def _answer(self, request: Any) -> Any:
        self._check_token(rows_of(request, "TOKEN")[0])
        try:
            result = self._run(_command(rows_of(request, "COMMAND")[0]), request)
        except LexiconError as error:
            raise RefusedError(str(error)) from None
        except OSError as error:
            log_error(f"lexicons: {error}")
            return failure(f"the lexicon directory cannot be used ({error.strerror})")
        content = np.array([json.dumps(result, ensure_ascii=False).encode()], dtype=object)
        return pb_utils.InferenceResponse([pb_utils.Tensor("RESULT", content)])

    def _check_token(self, token: bytes) -> None:
        if not self._token:
            raise RefusedError("this server takes no lexicons over the network: it was started without an admin token")
        if not token:
            raise RefusedError("no admin token was given")
        if not hmac.compare_digest(token, self._token.encode()):
            raise RefusedError("the admin token is wrong")

    def _run(self, command: dict[str, Any], request: Any) -> dict[str, Any]:
        action, name = command["action"], command.get("name", "")
        if action == "push":
            installed = self._store.install(
                name,
                rows_of(request, "CONTENT")[0],
                self._featurizer.check_types,
                replace_base=command.get("replace_base", False),
            )
            return {"name": name, "version": installed.version, "words": len(installed.lexicon)}
        if action == "rollback":
            return {"name": name, "version": self._store.rollback(name, command.get("version"))}
        if action == "prune":
            removed = self._store.prune(name, command["keep"])
            return {"name": name, "removed": removed, "versions": self._store.versions(name)}
        return {"lexicons": [dataclasses.asdict(line) for line in self._store.overview()]}


def _command(content: bytes) -> dict[str, Any]:
    command: dict[str, Any] = parse_json(content, "COMMAND")
    if not isinstance(command, dict) or "action" not in command:
        raise RefusedError('COMMAND must be JSON like {"action": "push", "name": "finance"}')
    action = command["action"]
    fields = FIELDS.get(action) if isinstance(action, str) else None
    if fields is None:
        raise RefusedError(f"COMMAND: unknown action {_shown(action)}; {', '.join(FIELDS)} are accepted")
    for field in command.keys() - fields - {"action"}:
        raise RefusedError(
            f"COMMAND: {action} has no field {_shown(field)}; accepted: {', '.join(sorted(fields)) or 'none'}"
        )
    if "name" in fields and not isinstance(command.get("name"), str):
        raise RefusedError(f"COMMAND: the name {_shown(command.get('name'))} is not a string")
    for field in ("version", "keep"):
        value = command.get(field)
        wanted = field in fields and not (field == "version" and value is None)
        if wanted and not (type(value) is int and 0 < value < 10**9):
            raise RefusedError(f"COMMAND: {field} {_shown(value)} is not a whole number from 1 on")
    if not isinstance(command.get("replace_base", False), bool):
        raise RefusedError(f"COMMAND: replace_base {_shown(command['replace_base'])} is neither true nor false")
    return command


def _shown(value: object) -> str:
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}…"
