"""Settings of a client: TLS and retries."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from distillex_client.errors import TlsError


@dataclass(frozen=True)
class Retries:
    """Attempts before ServerUnavailable is raised, with jittered exponential backoff; other errors are raised at once.

    The defaults outlast a server that starts again: their waits take 6 to 13 seconds. Attempts and waits end with the
    request's deadline, however many are left.
    """

    attempts: int = 10
    """In all, the first included."""
    first_delay_s: float = 0.2
    longest_delay_s: float = 2.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts {self.attempts} must be at least 1: the first is counted")

    def delay_s(self, attempt: int, generator: random.Random) -> float:
        """Return the wait after the ``attempt``-th failure (1, 2, …): between half and all of the exponential."""
        # The exponent is bounded: 2.0 ** 1024 overflows.
        ceiling = min(self.longest_delay_s, self.first_delay_s * 2.0 ** min(attempt - 1, 60))
        return generator.uniform(ceiling / 2, ceiling)


@dataclass(frozen=True)
class Tls:
    """PEM files; with certificate and key the connection is mutual TLS."""

    ca: Path | None = None
    """The authorities that the server's certificate may come from; None: those that gRPC brings."""
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None
    """Name to find in the server's certificate, where it is not the host of the URL."""

    def check(self) -> None:
        """Read the files once, because gRPC names neither a bad file nor what is wrong with it.

        Raises
        ------
        TlsError
            Names the file that is missing or not what it should be.
        """
        import ssl

        if (self.certificate is None) != (self.key is None):
            raise TlsError("Tls: certificate and key are given together, or neither")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca is not None:
            try:
                context.load_verify_locations(self.ca)
            except OSError as error:  # ssl.SSLError is one
                raise TlsError(f"{self.ca}: no certificates of authorities in PEM: {error}") from error
        if self.certificate is not None and self.key is not None:
            try:
                # Without a password given, OpenSSL would ask the terminal for an encrypted key's.
                context.load_cert_chain(self.certificate, self.key, password="")
            except OSError as error:
                raise TlsError(
                    f"{self.certificate}, {self.key}: no certificate with its key in PEM: {error}"
                ) from error
