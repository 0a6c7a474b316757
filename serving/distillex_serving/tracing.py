"""Triton's tracing: which requests get OpenTelemetry spans, and where these are sent."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from distillex_serving.errors import PreconditionError

TRACES_PATH = "/v1/traces"
TRACED_OF = 1000
"""One request of so many is traced where none brings a trace of its own."""


@dataclass(frozen=True)
class Tracing:
    """Triton's settings for traces.

    Parameters
    ----------
    endpoint
        URL of a receiver of OTLP/HTTP; without a path, the usual one is added.
    every
        Of the requests that bring no trace, one of so many is traced; 0: none. Those that bring one always are.

    Raises
    ------
    PreconditionError
        For an endpoint that is no such URL.
    """

    endpoint: str
    every: int = TRACED_OF

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.endpoint)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or any(character.isspace() for character in self.endpoint):
            raise PreconditionError(
                f"--trace-endpoint {self.endpoint!r}: the URL of an OTLP/HTTP receiver is accepted, such as "
                f"http://collector:4318{TRACES_PATH}"
            )

    def arguments(self) -> list[str]:
        """Return tritonserver's arguments. What they leave open, OpenTelemetry's environment variables say."""
        parts = urlsplit(self.endpoint)
        url = self.endpoint if parts.path.strip("/") else parts._replace(path=TRACES_PATH).geturl()
        return [
            "--trace-config=mode=opentelemetry",
            # Times of each step, and never tensors: those hold the texts.
            "--trace-config=level=TIMESTAMPS",
            f"--trace-config=rate={self.every}",
            "--trace-config=count=-1",
            f"--trace-config=opentelemetry,url={url}",
            "--trace-config=opentelemetry,resource=service.name=distillex",
        ]
