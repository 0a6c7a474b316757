"""The errors of the client, as a tree.

::

    ExtractorError
    ├── ServerUnavailable     no connection, the server stops or starts, or is overloaded: retried, then raised
    ├── DeadlineExceeded      the answer did not come in time
    ├── TlsError              one side speaks TLS and the other does not, or a certificate is not accepted
    ├── AccessDenied          the server, or a proxy before it, wants other credentials
    ├── ModelNotFound         the server has no such model or version
    ├── InvalidRequest        the server refused the request: bad lexicon, unknown lexicon name, wrong shape
    │   └── InvalidText       … because of a text: empty, too long, not UTF-8
    ├── ServerError           anything else that the server reports
    └── BatchError            what ends a batch run before its end, or one record of it
        ├── WrongUse          options, lexicon, files or settings that cannot work: change them
        ├── BatchStopped      the server stayed away, workers cannot start, or the disk is full: ``--resume`` continues
        └── RecordTooLarge    a record does not fit in memory; the next one may

What the transport said is kept as ``__cause__``.
"""

from __future__ import annotations

import re
from typing import Any

# What gRPC says, in the words of an UNAVAILABLE, when the two ends do not agree on TLS.
TLS_FAILURES = ("SSL_ERROR_SSL", "Verification Check failed", "security handshaker")
# What the gate, or gRPC itself, says, as a RESOURCE_EXHAUSTED, of a request that is too large however often it is sent.
TOO_LARGE = re.compile(r"the request has more than [\d,]+ bytes|message larger than max")
# What Triton says, as an INTERNAL, of a model whose process died, and gRPC, as this or that, of a connection that ended
# in the middle of a call. Another try is harmless: extraction changes nothing on the server.
INTERRUPTION = re.compile(r"Stub process .*is not healthy|RST_STREAM|Stream removed")
NOT_SERVED_NOW = "has no available versions"
"""In what Triton says, as a NOT_FOUND, of a model that it has and does not serve now, such as while it stops."""


class ExtractorError(Exception):
    """Base of all errors of this package.

    Attributes
    ----------
    request_id
        Id of the request that failed, for a look into the server's log; empty where none was sent.
    """

    request_id: str = ""


class ServerUnavailable(ExtractorError):  # noqa: N818
    """The server cannot be reached, or refuses work for now."""


class DeadlineExceeded(ExtractorError):  # noqa: N818
    """The answer did not come in time."""


class TlsError(ExtractorError):
    """One side speaks TLS and the other does not, or a certificate, key or server name is not accepted."""


class AccessDenied(ExtractorError):  # noqa: N818
    """The server, or a proxy before it, wants other credentials."""


class ModelNotFound(ExtractorError):  # noqa: N818
    """The server has no such model or version."""


class InvalidRequest(ExtractorError):  # noqa: N818
    """The server refused the request; the message says why."""


class InvalidText(InvalidRequest):
    """A text is empty, too long, not UTF-8 or holds a NUL.

    Attributes
    ----------
    row
        Its index among the texts given.
    """

    def __init__(self, message: str, row: int = 0) -> None:
        super().__init__(message)
        self.row = row


class ServerError(ExtractorError):
    """Anything else that the server reports."""


class BatchError(ExtractorError):
    """Base of the errors that end a batch run, or one record of it."""


class WrongUse(BatchError):  # noqa: N818
    """Something has to be changed before the run can go on."""


class BatchStopped(BatchError):  # noqa: N818
    """The run stopped through no fault of its input; what is written stays, and ``--resume`` continues."""


class RecordTooLarge(BatchError, ValueError):  # noqa: N818
    """A record does not fit in memory; the next one may."""

    def __init__(self, largest_bytes: int) -> None:
        super().__init__(f"over {largest_bytes:,} bytes")


def missing_extra(package: str, extra: str, purpose: str, error: ImportError) -> WrongUse:
    """Return the error for an optional package that is not installed, or that cannot be imported."""
    if isinstance(error, ModuleNotFoundError):
        return WrongUse(f"{purpose} needs {package}, which is not installed: pip install 'distillex-client[{extra}]'")
    return WrongUse(f"{purpose} needs {package}, which cannot be imported: {error}")


def error_from_status(status: str, message: str) -> ExtractorError:
    """Return the error for a gRPC status name, such as ``UNAVAILABLE``, and its message."""
    # Triton prefixes an error from inside an ensemble with its name.
    sentence = message.split("', ", 1)[1] if message.startswith("in ensemble '") else message
    if status in ("UNAUTHENTICATED", "PERMISSION_DENIED") or "protocol is restricted" in sentence:
        return AccessDenied(sentence)
    if status == "NOT_FOUND" or "unknown model" in sentence:
        return ModelNotFound(sentence)
    if status == "UNAVAILABLE" and any(failure in sentence for failure in TLS_FAILURES):
        return TlsError(sentence)
    if status == "RESOURCE_EXHAUSTED" and TOO_LARGE.search(sentence):
        return InvalidRequest(sentence)
    if status in ("UNAVAILABLE", "RESOURCE_EXHAUSTED") or INTERRUPTION.search(sentence):
        return ServerUnavailable(sentence)
    if status == "DEADLINE_EXCEEDED":
        return DeadlineExceeded(sentence)
    if status == "INVALID_ARGUMENT":
        return InvalidText(sentence) if sentence.startswith("the text ") else InvalidRequest(sentence)
    return ServerError(f"{status}: {sentence}" if status else sentence)


def error_from_grpc(raised: Any) -> ExtractorError:
    """Return the error for a ``grpc.RpcError``; its cause is tritonclient's ``InferenceServerException``."""
    from tritonclient.utils import InferenceServerException

    cause = InferenceServerException(str(raised.details() or ""), str(raised.code()), raised.debug_error_string())
    cause.__cause__ = raised
    error = error_from_status(str(raised.code()).removeprefix("StatusCode."), cause.message())
    error.__cause__ = cause
    return error


def is_not_served_now(error: ExtractorError) -> bool:
    """Tell whether the server has the model and does not serve it: it stops or starts, or the model was unloaded."""
    return isinstance(error, ModelNotFound) and NOT_SERVED_NOW in str(error)


def while_not_ready(error: ExtractorError) -> ServerUnavailable:
    """Return what a model that is not found means while the server is not ready."""
    told = ServerUnavailable(f"the server stops or starts: {error}")
    told.__cause__ = error.__cause__
    return told


def was_hung_up_on(error: ExtractorError) -> bool:
    """Tell whether the server took the connection and ended it: it restarts, or TLS is not what it expects."""
    message = str(error)
    return isinstance(error, ServerUnavailable) and "failed to connect" in message and "Socket closed" in message
