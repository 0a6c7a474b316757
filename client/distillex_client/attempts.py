"""The tries of one request: how long each may take, and how long to wait after one that failed."""

from __future__ import annotations

import random
import time

from distillex_client.errors import DeadlineExceeded, ExtractorError, ServerUnavailable, is_not_served_now
from distillex_client.options import Retries

NOT_SERVED_FOR_S = 3.0
"""How long a ready server may lack a model: behind a balancer, another server may have said that it is ready."""


class Attempts:
    """Counts tries against :class:`Retries` and against one deadline for all of them. Does no waiting itself.

    Parameters
    ----------
    retries
        How many tries, how long between them.
    expires
        The deadline, in seconds of ``time.monotonic()``.
    generator
        Source of the jitter.
    """

    def __init__(self, retries: Retries, expires: float, generator: random.Random) -> None:
        self._retries = retries
        self._expires = expires
        self._generator = generator
        self._failures = 0
        self._not_served_since: float | None = None

    def timeout_s(self) -> float:
        """Return how long the next try may take.

        Raises
        ------
        DeadlineExceeded
            When no time is left.
        """
        remaining_s = self._expires - time.monotonic()
        if remaining_s <= 0:
            raise DeadlineExceeded("no time was left to send the request")
        return remaining_s

    def delay_s(self, error: ExtractorError) -> float:
        """Return the wait before the next try; raise ``error`` where there shall be none."""
        self._failures += 1
        if not isinstance(error, ServerUnavailable) and not self._may_be_back(error):
            raise error
        delay_s = self._retries.delay_s(self._failures, self._generator)
        if self._failures >= self._retries.attempts or time.monotonic() + delay_s >= self._expires:
            error.args = (f"{error} ({self._failures} attempt{'s' if self._failures > 1 else ''})",)
            raise error
        return delay_s

    def _may_be_back(self, error: ExtractorError) -> bool:
        if not is_not_served_now(error):
            return False
        now = time.monotonic()
        self._not_served_since = self._not_served_since or now
        return now - self._not_served_since < NOT_SERVED_FOR_S
