"""Options of the commands that start a Triton, about traces."""

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
        help="Of requests that bring no trace, trace one of so many; 0: none. Those that bring one are traced anyway.",
    ),
]


def tracing_of(endpoint: str | None, every: int) -> Tracing | None:
    """Return what the options say; None: nothing is traced."""
    return Tracing(endpoint, every) if endpoint else None
