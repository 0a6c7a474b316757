"""The gate: an Envoy proxy before Triton's gRPC, for callers that are not trusted (docs/how-to/security.md).

::

    callers ──TLS──▶ Envoy (limits, methods, models, filter.lua) ──Unix socket──▶ tritonserver
"""

from distillex_serving.gate.before import put_gate_before
from distillex_serving.gate.gate import Gate
from distillex_serving.gate.options import GateLimits, GateOptions, Servers

__all__ = ["Gate", "GateLimits", "GateOptions", "Servers", "put_gate_before"]
