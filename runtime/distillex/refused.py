"""What is raised to refuse a text or its lexicons, and the reasons that there are."""

from __future__ import annotations

from typing import Literal, get_args

from distillex_matcher import Refusal

Reason = Literal["empty", "too_long", "not_utf8", "lexicon", "lexicon_name", "trust", "request", "other"]
"""``request``: as a whole, such as for inputs that are missing or have other rows than TEXT."""
REASONS: tuple[Reason, ...] = get_args(Reason)
"""With those that the core gives (:class:`distillex_matcher.Refusal`)."""


class RefusedError(ValueError):
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
