"""How a Python model refuses: one sentence per request, whatever happened. Triton would send callers a traceback."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from typing import Any

import triton_python_backend_utils as pb_utils
from distillex.errors import Reason, RefusedError

from distillex_serving.errors import ExpiredError

TRACEBACK = "Traceback (most recent call last):\n"


def refusal(message: str) -> Any:
    """Return the answer to a request that is wrong."""
    return _error(message, pb_utils.TritonError.INVALID_ARG)


def failure(message: str) -> Any:
    """Return the answer to a request that should have worked."""
    return _error(message, pb_utils.TritonError.INTERNAL)


def guarded(
    model: str,
    sentence: str,
    answer: Callable[[Any], Any],
    request: Any,
    refused: Callable[[Reason], None] | None = None,
) -> Any:
    """Return ``answer(request)``, or an error that hurts no other request of the batch.

    Parameters
    ----------
    model
        Named in the log.
    sentence
        The caller's message when something unexpected happens; the log has the details.
    answer
        Raises :class:`RefusedError` to refuse the request.
    request
        Triton's request.
    refused
        Called with the reason where it is refused.
    """
    try:
        return answer(request)
    except RefusedError as error:
        if refused is not None:
            refused(error.reason)
        return refusal(str(error))
    except ExpiredError as error:
        # Sent again it comes with a new signature.
        return _error(str(error), pb_utils.TritonError.UNAVAILABLE)
    except Exception as error:  # MemoryError and RecursionError too
        log_unexpected(model, error)
        return failure(f"{sentence}; the server's log says why")


def log_unexpected(model: str, error: Exception) -> None:
    """Write what happened, and where, into the server's log; no text of a caller's."""
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        parts.insert(0, "".join([TRACEBACK, *traceback.format_tb(seen.__traceback__), _without_words(seen)]))
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    log_error(f"{model}: " + "\n".join(parts))


def refused_row(message: str) -> bytes:
    """Return what stands in ENTITIES for a row that is refused while others are answered."""
    return json.dumps({"error": message}, ensure_ascii=False).encode("utf-8", "backslashreplace")


class _TritonHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log_error(record.getMessage())


def log_to_triton() -> None:
    """Let what the pipeline logs stand in the server's log."""
    logger = logging.getLogger("distillex")
    if not logger.handlers:
        logger.addHandler(_TritonHandler())
        logger.propagate = False


def log_error(message: str) -> None:
    """Write into the server's log, whatever the message quotes."""
    pb_utils.Logger.log_error(_utf8(message))


def log_warning(message: str) -> None:
    """Write into the server's log what is no fault and has to be seen."""
    pb_utils.Logger.log_warn(_utf8(message))


def _without_words(error: BaseException) -> str:
    # Python's own exceptions quote what they were given: a key that is missing, the arguments of a call.
    kind = type(error)
    if kind.__module__ != "builtins":
        return f"{kind.__module__}.{kind.__qualname__}: {error}"
    return f"{kind.__name__}: {error.strerror}" if isinstance(error, OSError) else kind.__name__


def _error(message: str, code: Any) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(_utf8(message), code))


def _utf8(message: str) -> str:
    # A lone surrogate from a caller's JSON would end the answer in an exception of its own.
    return message.encode("utf-8", "backslashreplace").decode("utf-8")
