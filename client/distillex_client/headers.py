"""Headers of a call: the caller's metadata, and the W3C trace context."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Mapping

Metadata = Mapping[str, str] | Callable[[], Mapping[str, str]]
"""Headers such as ``{"authorization": "Bearer …"}``, or a function that returns them, asked at each attempt."""

_KEY = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def checked_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with names in lower case.

    Raises
    ------
    ValueError
        Names the header that gRPC would refuse. Its value is not told: it may be a secret.
    """
    checked = {}
    for name, value in metadata.items():
        key = name.lower()
        if not _KEY.fullmatch(key) or key.endswith("-bin"):
            raise ValueError(f"metadata {name!r}: a name has letters, digits, '_', '.', '-' and does not end in '-bin'")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"metadata {name!r}: the value holds a line break or a character that is not ASCII")
        checked[key] = value
    return checked


def trace_headers(traceparent: str | None) -> dict[str, str]:
    """Return the trace context to pass on: the caller's, else that of OpenTelemetry's current span, else nothing.

    A malformed ``traceparent`` is left out, as W3C Trace Context demands. OpenTelemetry is looked for only where the
    caller has imported it: without that there is no span.
    """
    if traceparent is not None:
        return {"traceparent": traceparent} if _TRACEPARENT.fullmatch(traceparent) else {}
    headers: dict[str, str] = {}
    if "opentelemetry.trace" in sys.modules:
        with contextlib.suppress(ImportError):
            from opentelemetry.propagate import inject

            inject(headers)
    return {key.lower(): value for key, value in headers.items() if _VALUE.fullmatch(value)}
