"""Errors of the client.

::

    ExtractorError
    ├── ServerUnavailable     no connection, TLS mismatch, or the server is overloaded: retried, then raised
    ├── DeadlineExceeded      the answer did not come in time
    ├── ModelNotFound         the server has no such model or version
    ├── InvalidRequest        the server refused the request: bad lexicon, unknown lexicon name, wrong shape
    │   └── InvalidText       … because of a text: empty, too long, not UTF-8
    └── ServerError           anything else that the server reports

The error of the transport is kept as ``__cause__``.
"""

from __future__ import annotations


class ExtractorError(Exception):
    """Base of all errors of this package."""


class ServerUnavailable(ExtractorError):  # noqa: N818
    """The server cannot be reached, or refuses work for now."""


class DeadlineExceeded(ExtractorError):  # noqa: N818
    """The answer did not come in time."""


class ModelNotFound(ExtractorError):  # noqa: N818
    """The server has no such model or version."""


class InvalidRequest(ExtractorError):  # noqa: N818
    """The server refused the request; the message says why."""


class InvalidText(InvalidRequest):
    """A text is empty, too long, not UTF-8 or holds a character that is none.

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


def error_from_status(status: str, message: str) -> ExtractorError:
    """Return the error for a gRPC status name, such as ``UNAVAILABLE``, and its message."""
    # Triton prefixes an error from inside an ensemble with its name.
    sentence = message.split("', ", 1)[1] if message.startswith("in ensemble '") else message
    if status in ("UNAVAILABLE", "RESOURCE_EXHAUSTED"):
        return ServerUnavailable(sentence)
    if status == "DEADLINE_EXCEEDED":
        return DeadlineExceeded(sentence)
    if status == "NOT_FOUND" or "unknown model" in sentence:
        return ModelNotFound(sentence)
    if status == "INVALID_ARGUMENT":
        return InvalidText(sentence) if sentence.startswith("the text ") else InvalidRequest(sentence)
    return ServerError(f"{status}: {sentence}" if status else sentence)
