"""The gate's options: allowed methods, models and paths, and limits of size, number and time."""

from __future__ import annotations

from dataclasses import dataclass, field

from distillex_serving.tenants.files import TenantFiles
from distillex_serving.tls_files import TlsFiles

SERVICE = "inference.GRPCInferenceService"
METHODS = (
    "/grpc.health.v1.Health/Check",
    *(
        f"/{SERVICE}/{method}"
        for method in (
            "ServerLive",
            "ServerReady",
            "ServerMetadata",
            "ModelReady",
            "ModelMetadata",
            "ModelConfig",
            "ModelInfer",
        )
    ),
)
"""What the client, the command and a health check call. No streaming, no administration of Triton itself."""
DEFAULT_MODELS = ("extractor", "lexicons")
LARGE_BYTES = 256 * 1024
"""From this size on a request is one of the few large ones: a batch with big lexicons, or a pushed lexicon."""
HEALTH_PATHS = ("/v2/health/live", "/v2/health/ready")
METRICS_PATHS = ("/metrics",)
LIVE_PATH, READY_PATH, GATE_METRICS_PATH = "/live", "/ready", "/metrics"
"""What a gate's own status port answers."""


@dataclass(frozen=True)
class Servers:
    """The servers behind a gate, by a name of the network: each address that it stands for is one of them.

    New addresses are called as soon as they are ready, and those that the name loses no more.
    """

    host: str
    port: int
    """Of gRPC, without TLS."""
    others: tuple[tuple[str, int], ...] = ()
    """Further names and their ports, where one name does not stand for all servers."""


@dataclass(frozen=True)
class HttpDoor:
    """An HTTP listener for probes and Prometheus: GET of some paths of a Triton port on the loopback address."""

    name: str
    """``http`` or ``metrics``."""
    port: int
    triton_port: int
    paths: tuple[str, ...]


@dataclass(frozen=True)
class GateLimits:
    """How large, how many, how long."""

    max_request_bytes: int = 8 * 1024 * 1024
    max_connections: int = 1024
    max_streams: int = 128
    """Calls in flight on one connection."""
    max_calls: int = 1024
    """Calls in flight in all."""
    max_large_calls: int = 4
    """Of these, calls of more than :data:`LARGE_BYTES`: bounds the memory that they take in Triton."""
    message_timeout_s: float = 60.0
    """Time to send a whole request."""
    call_timeout_s: float = 300.0

    @property
    def max_heap_bytes(self) -> int:
        """Memory of the gate: from a seventh of it on the largest calls are ended; near it new ones are refused."""
        return max(512 * 1024 * 1024, 32 * self.max_request_bytes)


@dataclass(frozen=True)
class GateOptions:
    """What the gate listens on, and what it lets through."""

    address: str
    """Numeric."""
    port: int
    """A port of 0 takes a free one."""
    models: tuple[str, ...] = DEFAULT_MODELS
    tls: TlsFiles | None = None
    tenants: TenantFiles | None = None
    """None: whoever can connect may call."""
    gates: int = 1
    """So many gates share the rates of the tenants."""
    http_doors: tuple[HttpDoor, ...] = ()
    status_port: int | None = None
    """Where probes and Prometheus ask about the gate itself; None: nowhere."""
    limits: GateLimits = field(default_factory=GateLimits)
    workers: int = 1
    """Threads."""
    start_timeout_s: float = 20.0
