"""Triton Python model: install, list, roll back, prune and remove named lexicons.

Contract: docs/how-to/lexicons.md.
"""

from __future__ import annotations

import hmac
import json
import os
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from distillex.errors import RefusedError
from distillex.lexicon_administration import changed, parse_command, run_command
from distillex_matcher import FeatureLayout, LayoutError, LexiconError
from distillex_matcher.lexicon_store import LexiconStore

from distillex_serving.python_models.answers import failure, guarded, log_error, log_to_triton, log_warning
from distillex_serving.python_models.callers import Callers
from distillex_serving.python_models.lexicon_metrics import LexiconMetrics
from distillex_serving.python_models.settings import ModelSettings
from distillex_serving.python_models.tensors import optional_rows_of, rows_of
from distillex_serving.tenants.tenant_file import Tenant


class LexiconsModel:
    """Lexicon administration."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Read the admin token from the environment, and the types that the served model knows."""
        log_to_triton()
        settings = ModelSettings.of(args)
        self._token = os.environ.get("DISTILLEX_ADMIN_TOKEN", "")
        self._callers = Callers.of_environment(settings.name)
        self._store = LexiconStore(settings.lexicon_directory)
        try:
            self._featurizer = FeatureLayout.load(settings.folder).featurizer()
        except LayoutError as error:
            raise pb_utils.TritonModelException(f"lexicons cannot start: {error}") from None
        self._metrics = LexiconMetrics(self._store, self._callers)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each command."""
        return [guarded("lexicons", "the command failed", self._answer, request) for request in requests]

    def finalize(self) -> None:
        """End the look at the lexicons."""
        self._metrics.stop()

    def _answer(self, request: Any) -> Any:
        tenant = self._tenant_of(request, rows_of(request, "TOKEN")[0])
        command = parse_command(rows_of(request, "COMMAND")[0])
        own = tenant.push if tenant is not None else None
        contents = optional_rows_of(request, "CONTENT", 1)
        try:
            content = contents[0] if contents else None
            result = run_command(self._store, command, content, self._featurizer.check_types, own)
        except LexiconError as error:
            raise RefusedError(str(error)) from None
        except OSError as error:
            log_error(f"lexicons: {error}")
            return failure(f"the lexicon directory cannot be used ({error.strerror})")
        if "name" in result:
            # A change is no fault: this is the lowest level that is shown where nothing else is asked for.
            log_warning(f"lexicons: {changed(result, command)}, by {tenant.name if tenant else 'the admin token'}")
        answer = np.array([json.dumps(result, ensure_ascii=False).encode()], dtype=object)
        return pb_utils.InferenceResponse([pb_utils.Tensor("RESULT", answer)])

    def _tenant_of(self, request: Any, token: bytes) -> Tenant | None:
        """Return who administers its own lexicons; None: the operator, with the admin token, any."""
        if not token and self._callers is not None and (tenant := self._callers.tenant_of(request)) is not None:
            return tenant
        if not self._token:
            raise RefusedError("this server takes no lexicons over the network: it was started without an admin token")
        if not token:
            raise RefusedError("no admin token was given")
        if not hmac.compare_digest(token, self._token.encode()):
            raise RefusedError("the admin token is wrong")
        return None
