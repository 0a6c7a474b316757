"""How to reach the server: a value that travels to threads and to workers on other machines."""

from __future__ import annotations

from dataclasses import dataclass, field

from distillex_client.batch.errors import WrongUse
from distillex_client.errors import TlsError
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
