"""The W3C trace context of a call, and a span around each of its requests.

OpenTelemetry is looked for only where the caller has imported it: without that there is no span, and nothing to join.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distillex_client.connection import host_and_port
from distillex_client.headers import VALUE

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_SERVICE, _METHOD = "inference.GRPCInferenceService", "ModelInfer"


@dataclass(frozen=True)
class Trace:
    """What one call is part of, fixed when it begins: its requests may be sent from other threads."""

    given: Mapping[str, str]
    """The header that the caller gave."""
    context: Any = None
    """OpenTelemetry's context above the requests; None: without OpenTelemetry."""
    passes_all: bool = True
    """Whether the caller's baggage goes along."""

    @staticmethod
    def of(traceparent: str | None) -> Trace:
        """Return the trace given by the caller, else that of OpenTelemetry's current span.

        A malformed ``traceparent`` is left out, as W3C Trace Context demands.
        """
        given = {"traceparent": traceparent} if traceparent and _TRACEPARENT.fullmatch(traceparent) else {}
        if "opentelemetry.trace" not in sys.modules:
            return Trace(given)
        try:
            from opentelemetry.context import Context, get_current
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError:
            return Trace(given)
        if traceparent is None:
            return Trace({}, get_current())
        return Trace(given, TraceContextTextMapPropagator().extract(given, Context()), passes_all=False)

    @contextlib.contextmanager
    def request(self, url: str, model: str, request_id: str, texts: int) -> Iterator[Mapping[str, str]]:
        """Put a span around one request, with all its attempts; yields the headers that join the server's to it.

        Neither texts nor messages, which may quote them, become part of the span.
        """
        if self.context is None:
            yield self.given
            return
        from opentelemetry import trace
        from opentelemetry.propagate import inject
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        address = host_and_port(url)
        span = trace.get_tracer("distillex_client").start_span(
            f"{_SERVICE}/{_METHOD}",
            self.context,
            trace.SpanKind.CLIENT,
            {
                "rpc.system": "grpc",
                "rpc.service": _SERVICE,
                "rpc.method": _METHOD,
                "server.address": address[0] if address else url,
                **({"server.port": address[1]} if address else {}),
                "distillex.model": model,
                "distillex.request_id": request_id,
                "distillex.texts": texts,
            },
        )
        headers: dict[str, str] = {}
        own = trace.set_span_in_context(span, self.context)
        (inject if self.passes_all else TraceContextTextMapPropagator().inject)(headers, own)
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield {key.lower(): value for key, value in headers.items() if VALUE.fullmatch(value)}
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(trace.StatusCode.ERROR)
                raise
