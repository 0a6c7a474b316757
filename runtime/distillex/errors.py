"""The errors of in-process extraction, as a tree.

::

    DistillexError                    an ExtractorError of the client, as are all below
    ├── DeviceError                   a GPU, its driver or what runs a network on it is missing or fails
    ├── SigningError                  a model's folder cannot be signed, or is not what was signed
    ├── ManifestError                 … or is not what the manifest of the shipped models says, or that cannot be read
    ├── RefusedError                  a text, or a lexicon that came with it, is refused
    ├── WorkerDiedError               a worker process of a batch ended while it had work
    └── WorkersCannotStartError       … before it had opened its model

What a text, a request or a model's name does wrong is raised as the client's ``InvalidText``, ``InvalidRequest`` and
``ModelNotFound``, so that the same ``except`` serves in process and with a server.
"""

from __future__ import annotations

from typing import Literal, get_args

from distillex_client.errors import ExtractorError
from distillex_matcher import Refusal

Reason = Literal["empty", "too_long", "not_utf8", "lexicon", "lexicon_name", "trust", "request", "other"]
"""``request``: as a whole, such as for inputs that are missing or have other rows than TEXT."""
REASONS: tuple[Reason, ...] = get_args(Reason)
"""With those that the core gives (:class:`distillex_matcher.Refusal`)."""


class DistillexError(ExtractorError):
    """Base of all errors of this package."""


class DeviceError(DistillexError):
    """A GPU, its driver or the software that runs a network on it is missing or fails; the message says what to do."""


class SigningError(DistillexError, RuntimeError):
    """A folder cannot be signed, or is not what was signed; the message says why."""


class ManifestError(DistillexError, RuntimeError):
    """The manifest cannot be read, or a model is not what stands in it; the message says why."""


class RefusedError(DistillexError, ValueError):
    """A text is refused, or what came with it; the message is for the caller.

    Attributes
    ----------
    reason
        One of :data:`REASONS`.
    """

    def __init__(self, message: str, reason: Reason = "request") -> None:
        super().__init__(message)
        self.reason: Reason = reason

    def as_refusal(self) -> Refusal:
        """Return it as the core says it of a text."""
        return Refusal(self.reason, str(self))


class WorkerDiedError(DistillexError):
    """A worker died, or failed, while it had texts to answer."""


class WorkersCannotStartError(DistillexError):
    """A worker died before it had opened its model."""
