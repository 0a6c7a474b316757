"""Call the server, and wait for it while it is down."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from distillex_client.entity import Extraction
from distillex_client.errors import (
    AccessDenied,
    BatchStopped,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    ServerError,
    ServerUnavailable,
    TlsError,
    WrongUse,
    is_not_served_now,
)
from distillex_client.extractor import Extractor
from distillex_client.options import Retries
from distillex_client.protocol import Lexicon, Trust

LOG = logging.getLogger("distillex.batch")
T = TypeVar("T")
BACKOFF = Retries(first_delay_s=0.2, longest_delay_s=2.0)
ATTEMPTS_ON_SERVER_ERROR = 3


class PatientCaller:
    """Extract from texts; while the server cannot be reached, wait and try again.

    Parameters
    ----------
    extractor
        A client without retries of its own; its batch size bounds the texts of a call.
    retry_for_s
        How long the server may stay away.
    """

    def __init__(
        self,
        extractor: Extractor,
        *,
        retry_for_s: float,
        lexicon: Lexicon | None = None,
        lexicon_name: str | None = None,
        trust: Trust | None = None,
    ) -> None:
        self._extractor = extractor
        self._retry_for_s = retry_for_s
        self._lexicon = lexicon
        self._lexicon_name = lexicon_name
        self._trust = trust
        self._random = random.Random()
        self._stopped = threading.Event()
        self._away_since: float | None = None

    def stop(self) -> None:
        """End every wait."""
        self._stopped.set()

    def call(self, texts: Sequence[str]) -> list[Extraction]:
        """Return one extraction a text, with ``error`` for texts that the server refuses or fails on.

        Raises
        ------
        WrongUse
            When the model does not exist, or lexicon, credentials or certificate are refused.
        BatchStopped
            When the server stayed away too long.
        """

        def ask() -> list[Extraction]:
            stream = self._extractor.extract_stream(
                texts, lexicon=self._lexicon, lexicon_name=self._lexicon_name, trust=self._trust
            )
            return list(stream)

        return self._patiently(ask, lambda error: self._one_by_one(texts, error))

    def sentence_periods(self) -> bool:
        """Ask whether the model's documents are cut after periods of Latin text too; raises as :meth:`call`."""
        return self._patiently(self._extractor.sentence_periods, lambda _: False)

    def _patiently(self, ask: Callable[[], T], give_up: Callable[[ServerError], T]) -> T:
        """Ask until there is an answer; ``give_up`` makes one of a server that is well but for this."""
        first_failure: float | None = None
        errors = 0
        attempt = 0
        while True:
            attempt += 1
            try:
                found = ask()
                self._note_answer()
                return found
            except (ServerUnavailable, DeadlineExceeded) as error:
                failure: Exception = error
            except ModelNotFound as error:
                # A server that starts again may answer before its models are ready.
                if first_failure is None and not is_not_served_now(error):
                    raise WrongUse(f"ModelNotFound: {error}") from error
                failure = error
            except (InvalidRequest, AccessDenied, TlsError) as error:
                raise WrongUse(f"{type(error).__name__}: {error}") from error
            except ServerError as error:
                failure = error
                if self._extractor.is_ready():
                    errors += 1
                    if errors == ATTEMPTS_ON_SERVER_ERROR:
                        return give_up(error)
            first_failure = first_failure or time.monotonic()
            self._wait(attempt, first_failure, failure)

    def _one_by_one(self, texts: Sequence[str], error: ServerError) -> list[Extraction]:
        """Find the text on which a server that is otherwise well fails."""
        if len(texts) == 1:
            return [Extraction((), "", f"the server failed on it: {error}")]
        return [extraction for text in texts for extraction in self.call([text])]

    def _wait(self, attempt: int, first_failure: float, failure: Exception) -> None:
        waited = time.monotonic() - first_failure
        if waited >= self._retry_for_s or self._stopped.is_set():
            raise BatchStopped(
                f"{_sentence(failure)} (tried for {waited:.0f} s; --retry-for sets how long)"
            ) from failure
        if self._away_since is None:
            self._away_since = first_failure
            LOG.warning("%s; waiting up to %.0f s for the server", _sentence(failure), self._retry_for_s)
        delay = min(BACKOFF.delay_s(min(attempt, 30), self._random), max(0.0, self._retry_for_s - waited))
        self._stopped.wait(delay)

    def _note_answer(self) -> None:
        away_since, self._away_since = self._away_since, None
        if away_since is not None:
            LOG.warning("the server answers again after %.1f s", time.monotonic() - away_since)


def _sentence(failure: Exception) -> str:
    # The client made one attempt each time, and says so; ours are the attempts that count.
    return f"{type(failure).__name__}: {str(failure).removesuffix(' (1 attempt)')}"
