"""How to reach the server: a value that travels to threads and to workers on other machines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from distillex_client.batch.extraction import CallOptions
from distillex_client.batch.patience import PatientCaller
from distillex_client.errors import TlsError, WrongUse
from distillex_client.extractor import Extractor
from distillex_client.options import Retries, Tls


@dataclass(frozen=True)
class Connection:
    """Everything that an :class:`~distillex_client.Extractor` needs; can be pickled."""

    url: str = "127.0.0.1:8001"
    model: str = "extractor"
    model_version: str = ""
    timeout_s: float = 30.0
    """Deadline of one request."""
    tls: Tls | None = None
    metadata: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Headers of each call; may hold secrets, so they are not shown."""

    @contextlib.contextmanager
    def open(self, options: CallOptions) -> Iterator[PatientCaller]:
        """Connect, and wait for the server where it is away."""
        with self.extractor(batch_size=options.batch_size, concurrency=options.concurrency) as extractor:
            yield PatientCaller(
                extractor,
                retry_for_s=options.retry_for_s,
                lexicon=options.lexicon or None,
                lexicon_name=options.lexicon_name,
                trust=options.trust,
            )

    def settings(self, lexicon_name: str | None) -> dict[str, Any]:  # noqa: ARG002
        """Return what has to be the same when a run is resumed."""
        return {"--model": self.model, "--model-version": self.model_version}

    def extractor(self, *, batch_size: int, concurrency: int) -> Extractor:
        """Return a client without retries of its own: how long to wait is the batch run's decision.

        Raises
        ------
        WrongUse
            When the URL or another setting cannot work.
        """
        try:
            return Extractor(
                self.url,
                model=self.model,
                model_version=self.model_version,
                timeout_s=self.timeout_s,
                retries=Retries(attempts=1),
                batch_size=batch_size,
                concurrency=concurrency,
                tls=self.tls,
                metadata=dict(self.metadata),
            )
        except (ValueError, TlsError) as error:
            raise WrongUse(str(error)) from error
