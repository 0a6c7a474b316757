"""Command ``distillex gate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from distillex.command.options import EXIT_NOT_STARTED, EXIT_PRECONDITION
from distillex_matcher.cores import usable_cores

from distillex_serving.addresses import is_host, own_address
from distillex_serving.command_log import configure_logging, fail_in, say
from distillex_serving.errors import PreconditionError, ServerError
from distillex_serving.gate import Gate, GateLimits, GateOptions, Servers
from distillex_serving.gate.before import workers_for
from distillex_serving.gate.configuration import GateFiles, envoy_configuration
from distillex_serving.gate.options import DEFAULT_MODELS
from distillex_serving.log_format import LogFormat
from distillex_serving.preconditions import check_port_numbers
from distillex_serving.stop_signals import stop_on_signals
from distillex_serving.supervision import start_all, supervise
from distillex_serving.tenants.options import SecretFile, TenantsFile, tenant_files
from distillex_serving.tls_files import TlsFiles

UNIX = "unix:"


def gate(
    upstream: Annotated[
        str,
        typer.Option(
            help="Servers behind the gate: HOST:PORT of their gRPC, or unix:PATH. Each address of a host "
            "name is one server; separate several names by commas."
        ),
    ],
    model: Annotated[list[str] | None, typer.Option(help="A model that callers may use; repeatable.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8001,
    status_port: Annotated[
        int | None,
        typer.Option(
            help="HTTP port of /live and /ready (of the gate itself) and /metrics; default: none.",
            min=1,
            max=65535,
        ),
    ] = None,
    max_request_mib: Annotated[float, typer.Option(help="Largest request, in MiB.", min=0.01, max=1024)] = 8.0,
    max_connections: Annotated[int, typer.Option(help="Connections at once.", min=1)] = 1024,
    workers: Annotated[int | None, typer.Option(help="Threads; default: one, plus one per four cores.", min=1)] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM key.")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="PEM CA; requires client certificates signed by it.")
    ] = None,
    tenants: TenantsFile = None,
    tenant_secret_file: SecretFile = None,
    gates: Annotated[
        int, typer.Option(help="Number of gates that share the tenants' rates: each allows its share.", min=1)
    ] = 1,
    print_configuration: Annotated[
        bool, typer.Option("--print", help="Print the configuration for your own Envoy, and exit. Keep it secret.")
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option(help="json: one object per line, including Envoy's lines.")
    ] = LogFormat.TEXT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Envoy's own log.")] = False,
) -> None:
    """Run the gate (Envoy) for servers that run elsewhere; Ctrl-C or SIGTERM stops it after the calls in flight.

    It allows what clients need and limits the rest; `distillex serve --host` starts its own. --print writes a new
    secret into the configuration each time; anyone who knows it can get requests past a filter that fails.

    Exit codes: 0 stopped as asked, 2 an option cannot be used or Envoy is not installed, 3 it did not become ready.
    """
    configure_logging(log_format)
    try:
        behind = _servers(upstream)
        check_port_numbers({"--grpc-port": grpc_port, "--status-port": status_port or 0})
        tls = TlsFiles.of(tls_certificate, tls_key, tls_client_ca)
        if tls is not None:
            tls.check()
        told = tenant_files(tenants, tenant_secret_file)
        if print_configuration and told is not None:
            raise PreconditionError("--print and --tenants: your own Envoy has no service to ask about tenants")
        options = GateOptions(
            address=own_address(host),
            port=grpc_port,
            models=tuple(model or DEFAULT_MODELS),
            tls=tls,
            tenants=told,
            gates=gates,
            status_port=status_port,
            limits=GateLimits(int(max_request_mib * 2**20), max_connections),
            workers=workers or workers_for(usable_cores()),
        )
        if print_configuration:
            typer.echo(json.dumps(envoy_configuration(options, behind, GateFiles(Path("/tmp/envoy-admin"))), indent=1))
            return
        stop = stop_on_signals()
        front = Gate(options, upstream=behind, verbose=verbose, log_format=log_format)
        try:
            if start_all([front], stop):
                say(f"ready: gRPC {front.grpc_url}, before {upstream}", log_format)
                supervise([front], stop)
        finally:
            front.close()
    except PreconditionError as error:
        fail_in(log_format, "gate", str(error), EXIT_PRECONDITION)
    except ServerError as error:
        fail_in(log_format, "gate", str(error), EXIT_NOT_STARTED)
    say("stopped", log_format)


def _servers(text: str) -> Path | Servers:
    path = text.removeprefix(UNIX)
    if path != text and path.strip():
        return Path(path)
    addresses = []
    for each in text.split(","):
        host, _, port = each.rpartition(":")
        if not (is_host(host) and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise PreconditionError(
                f"--upstream {text!r}: HOST:PORT or unix:PATH is accepted, HOST being a name, an IPv4 address or an "
                "IPv6 address in brackets; separate several HOST:PORT by commas"
            )
        addresses.append((host.strip("[]"), int(port)))
    return Servers(*addresses[0], tuple(addresses[1:]))
