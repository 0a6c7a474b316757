"""Command ``distillex serve``."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from distillex_matcher import LayoutError
from rich.logging import RichHandler

from distillex_serving.addresses import is_loopback
from distillex_serving.command_options import (
    EXIT_NOT_STARTED,
    EXIT_PRECONDITION,
    LexiconDirectory,
    TokenFile,
    admin_token,
    fail,
)
from distillex_serving.embedded import EmbeddedServer, ServerError, ServerOptions
from distillex_serving.gate import Gate, GateLimits, put_gate_before
from distillex_serving.locations import default_repository
from distillex_serving.preconditions import PreconditionError, check_working_folder
from distillex_serving.service import Service
from distillex_serving.students import DEFAULT_STUDENT, entity_types, find_student
from distillex_serving.supervision import start_all, supervise
from distillex_serving.tls_files import TlsFiles


def serve(
    student: Annotated[
        str | None, typer.Option(help=f"Student to serve: NAME of models/student-NAME; by default {DEFAULT_STUDENT}.")
    ] = None,
    repository: Annotated[
        Path | None, typer.Option(help="Model repository; by default the shipped one. It holds its own student.")
    ] = None,
    lexicon_dir: LexiconDirectory = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address of gRPC. Beyond the loopback address the gate stands before it. HTTP and metrics stay on "
            "127.0.0.1."
        ),
    ] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8001,
    http_port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8000,
    metrics_port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8002,
    expose_http: Annotated[
        bool,
        typer.Option(
            help="Bind HTTP and metrics to --host too: through the gate, health checks and metrics alone; without it, "
            "all of Triton's HTTP, where one hostile request can end the server."
        ),
    ] = False,
    gate: Annotated[
        bool | None,
        typer.Option(
            "--gate/--no-gate",
            help="Put Envoy before gRPC: limits, only the methods and models that clients need, no request that ends "
            "Triton. By default where --host is not a loopback address.",
        ),
    ] = None,
    max_request_mib: Annotated[
        float, typer.Option(help="Largest request that the gate lets through, in MiB.", min=0.01, max=1024)
    ] = 8.0,
    max_connections: Annotated[int, typer.Option(help="Connections that the gate takes at once.", min=1)] = 1024,
    model_config_name: Annotated[str, typer.Option(help="Triton's custom model configuration.")] = "cpu",
    teacher: Annotated[
        Path | None,
        typer.Option(help="Folder of an exported teacher, to serve as extractor_teacher beside extractor."),
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM certificate for gRPC.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM key for gRPC.")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="PEM CA; demands client certificates.")] = None,
    admin_token_file: TokenFile = None,
    start_timeout: Annotated[float, typer.Option(help="Seconds to wait until the models are ready.")] = 60.0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Triton's own log.")] = False,
) -> None:
    """Start the embedded Triton server on the model repository; Ctrl-C or SIGTERM stops it.

    Exit codes: 0 stopped as asked, 2 this machine lacks something or an option cannot be used, 3 the server did not
    become ready. Once it was ready it is kept up for as long as it takes.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(show_path=False)])
    if (tls_certificate is None) != (tls_key is None):
        fail("serve", "--tls-certificate and --tls-key are given together or not at all", EXIT_PRECONDITION)
    if tls_client_ca is not None and tls_certificate is None:
        fail("serve", "--tls-client-ca needs --tls-certificate and --tls-key", EXIT_PRECONDITION)
    tls = TlsFiles(tls_certificate, tls_key, tls_client_ca) if tls_certificate and tls_key else None
    if student is not None and repository is not None:
        fail("serve", "--repository holds its own student: give it or --student, not both", EXIT_PRECONDITION)
    name = DEFAULT_STUDENT if student is None else student
    try:
        check_working_folder()
        student_folder = None if repository is not None else find_student(name)
        _say_what_is_served(name, student_folder, repository)
    except (PreconditionError, LayoutError) as error:
        fail("serve", str(error), EXIT_PRECONDITION)
    options = ServerOptions(
        repository=repository or default_repository(),
        student=student_folder,
        lexicon_directory=lexicon_dir,
        host=host,
        grpc_port=grpc_port,
        http_port=http_port,
        metrics_port=metrics_port,
        expose_http=expose_http,
        model_config_name=model_config_name,
        teacher=teacher,
        tls=tls,
        admin_token=admin_token(admin_token_file),
        start_timeout_s=start_timeout,
        verbose=verbose,
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    guarded = gate if gate is not None else not is_loopback(host)
    with contextlib.ExitStack() as stack:
        try:
            front = None
            if guarded:
                limits = GateLimits(int(max_request_mib * 2**20), max_connections)
                front, options = put_gate_before(options, limits)
                stack.callback(front.close)
            server = EmbeddedServer(options)
            stack.callback(server.stop)
            services: list[Service] = [server] if front is None else [server, front]
            if start_all(services, stop):
                typer.echo(_ready_line(server, front))
                supervise(services, stop)
        except PreconditionError as error:
            fail("serve", str(error), EXIT_PRECONDITION)
        except ServerError as error:
            fail("serve", str(error), EXIT_NOT_STARTED)
    typer.echo("stopped")


def _ready_line(server: EmbeddedServer, gate: Gate | None) -> str:
    if gate is None:
        return f"ready: gRPC {server.grpc_url}, HTTP {server.http_url}, metrics {server.metrics_url}"
    health, metrics = gate.http_urls or (server.http_url, server.metrics_url)
    return f"ready: gRPC {gate.grpc_url} (through the gate), HTTP {health}, metrics {metrics}"


def _say_what_is_served(student: str, student_folder: Path | None, repository: Path | None) -> None:
    served = student_folder or repository or default_repository()
    if not served.is_dir():
        return  # the server's own check says so
    what = f"student {student}" if repository is None else "the student"
    typer.echo(f"serving {what} of {served}: {', '.join(entity_types(served))}")
