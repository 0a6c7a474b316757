"""How a client connects and how patient it is."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Retries:
    """Attempts after UNAVAILABLE or RESOURCE_EXHAUSTED, with jittered exponential backoff; nothing else is retried."""

    attempts: int = 4
    """In all, the first included."""
    first_delay_s: float = 0.2
    longest_delay_s: float = 5.0

    def delay_s(self, attempt: int, generator: random.Random) -> float:
        """Return the wait after the ``attempt``-th failure (1, 2, …): full jitter below the exponential."""
        ceiling = min(self.longest_delay_s, self.first_delay_s * 2.0 ** (attempt - 1))
        return generator.uniform(ceiling / 2, ceiling)


@dataclass(frozen=True)
class Tls:
    """PEM files; with certificate and key the connection is mutual TLS."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None
