"""Command-line options for traces."""

from __future__ import annotations

from typing import Annotated

import typer

from distillex_serving.tracing import Tracing

TraceEndpoint = Annotated[
    str | None,
    typer.Option(
        envvar="DISTILLEX_TRACE_ENDPOINT",
        help="Send OpenTelemetry spans of requests to this OTLP/HTTP receiver, such as http://collector:4318.",
    ),
]
TraceEvery = Annotated[
    int,
    typer.Option(
        min=0,
        envvar="DISTILLEX_TRACE_EVERY",
        help="Trace one in so many requests that come without a trace; 0: none. Requests that come "
        "with one are always traced.",
    ),
]


def tracing_of(endpoint: str | None, every: int) -> Tracing | None:
    """Return what the options say; None: nothing is traced."""
    return Tracing(endpoint, every) if endpoint else None
