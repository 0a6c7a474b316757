"""The gRPC channel to a server: its address, its options, its credentials."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from distillex_client.options import Tls

_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
_GRPC_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")

CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A peer that vanished while calls are in flight is noticed: measured after 10 s, and after 60 s without the third
    # line. More pings than two would break gRPC's own rule for clients; servers answer that by closing the connection.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 2),
    # Firewalls and balancers forget idle connections after some minutes: ours is closed before and opened anew.
    ("grpc.client_idle_timeout_ms", 240_000),
    # A server that comes back is found soon; gRPC's own limit is two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


def check_url(url: str) -> str:
    """Return ``url`` if gRPC can make something of it.

    Raises
    ------
    ValueError
        When it is neither HOST:PORT nor a name in one of gRPC's schemes, such as ``dns:///HOST:PORT``.
    """
    if url.startswith(_GRPC_SCHEMES) or host_and_port(url) is not None:
        return url
    raise ValueError(f"url {url!r} is not HOST:PORT of the server's gRPC, such as 127.0.0.1:8001 (no http://)")


def host_and_port(url: str) -> tuple[str, int] | None:
    """Split ``HOST:PORT``; None where ``url`` is something else."""
    match = _HOST_AND_PORT.fullmatch(url)
    return (match[1].strip("[]"), int(match[2])) if match and int(match[2]) < 65536 else None


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine alone."""
    host = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Line:
    """An open channel, and the calls of a Triton server over it.

    tritonclient's ``InferenceServerClient`` makes the same calls; its numpy arrays between our bytes and gRPC's took a
    tenth of the time of a short text's answer.
    """

    channel: Any
    stub: Any
    """``ModelInfer`` and the others, each of which takes its message, ``timeout`` and ``metadata``."""


def open_line(url: str, tls: Tls | None, transport: ModuleType) -> Line:
    """Open a channel with ``grpc``, or with ``grpc.aio``, whose calls are awaited; it connects at the first call."""
    from tritonclient.grpc import service_pb2_grpc

    options: list[tuple[str, Any]] = list(CHANNEL_OPTIONS)
    if tls is None:
        channel = transport.insecure_channel(url, options=options)
    else:
        import grpc

        if tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", tls.server_name))
        credentials = grpc.ssl_channel_credentials(_content(tls.ca), _content(tls.key), _content(tls.certificate))
        channel = transport.secure_channel(url, credentials, options=options)
    return Line(channel, service_pb2_grpc.GRPCInferenceServiceStub(channel))


def _content(path: Path | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
