"""Divide a server's options between the gate (addresses, TLS) and the server behind it."""

from __future__ import annotations

import dataclasses

from distillex_matcher.cores import usable_cores

from distillex_serving.addresses import LOOPBACK, own_address
from distillex_serving.embedded import ServerOptions
from distillex_serving.gate.gate import Gate
from distillex_serving.gate.options import HEALTH_PATHS, METRICS_PATHS, GateLimits, GateOptions, HttpDoor
from distillex_serving.preconditions import check_port_numbers, free_port

CORES_A_WORKER = 4
"""One thread of the gate passes on more than the models of four cores can answer."""


def workers_for(cores: int) -> int:
    """Return how many threads a gate needs beside the models of so many cores."""
    return max(1, cores // CORES_A_WORKER)


def put_gate_before(options: ServerOptions, limits: GateLimits | None = None) -> tuple[Gate, ServerOptions]:
    """Return a gate in front, and the options of the server behind it.

    The gate listens where ``options`` say and ends TLS; the server listens on the gate's Unix socket, and its HTTP on
    the loopback address. With ``expose_http`` the gate lets health checks and metrics through, with
    ``expose_metrics`` metrics alone.

    Raises
    ------
    PreconditionError
        When Envoy is not installed, or the address, a port or a TLS file cannot be used.
    """
    address = own_address(options.host)
    check_port_numbers(
        {"--grpc-port": options.grpc_port, "--http-port": options.http_port, "--metrics-port": options.metrics_port}
    )
    if options.tls is not None:
        options.tls.check()
    http_port, metrics_port = options.http_port, options.metrics_port
    doors: list[HttpDoor] = []
    if options.expose_http:
        http_port = free_port()
        doors.append(HttpDoor("http", options.http_port or free_port(address), http_port, HEALTH_PATHS))
    if options.expose_http or options.expose_metrics:
        metrics_port = free_port()
        doors.append(HttpDoor("metrics", options.metrics_port or free_port(address), metrics_port, METRICS_PATHS))
    gate = Gate(
        GateOptions(
            address=address,
            port=options.grpc_port,
            models=("extractor", *(("extractor_teacher",) if options.teacher else ()), "lexicons"),
            tls=options.tls,
            tenants=options.tenants,
            http_doors=tuple(doors),
            limits=limits or GateLimits(),
            workers=workers_for(usable_cores()),
        ),
        verbose=options.verbose,
        log_format=options.log_format,
    )
    behind = dataclasses.replace(
        options,
        host=LOOPBACK,
        grpc_socket=gate.grpc_socket,
        http_port=http_port,
        metrics_port=metrics_port,
        expose_http=False,
        expose_metrics=False,
        tls=None,
    )
    return gate, behind
