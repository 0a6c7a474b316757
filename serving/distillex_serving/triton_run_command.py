"""Command ``distillex triton``."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from distillex.command.options import EXIT_PRECONDITION, LexiconDirectory, TokenFile, admin_token
from distillex.locations import shipped_lexicons

from distillex_serving.addresses import LOOPBACK, in_brackets, own_address
from distillex_serving.command_log import configure_logging, fail_in
from distillex_serving.errors import PreconditionError
from distillex_serving.launcher import launch
from distillex_serving.log_format import LogFormat, shown
from distillex_serving.preconditions import check_base_lexicon, check_folder, check_port_numbers
from distillex_serving.process_log import ProcessLog
from distillex_serving.stop_signals import stop_on_signals
from distillex_serving.tenants.options import SecretFile, TenantsFile, tenant_files
from distillex_serving.tracing import TRACED_OF
from distillex_serving.tracing_options import TraceEndpoint, TraceEvery, tracing_of
from distillex_serving.triton_command import TritonCommand, model_environment


def triton(
    repository: Annotated[Path, typer.Option(help="Model repository written by 'distillex repository'.")],
    lexicon_dir: LexiconDirectory = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address for gRPC and metrics, without TLS: meant for use behind a gate. HTTP stays on 127.0.0.1."
        ),
    ] = LOOPBACK,
    grpc_port: Annotated[int, typer.Option()] = 8001,
    http_port: Annotated[int, typer.Option()] = 8000,
    metrics_port: Annotated[int, typer.Option()] = 8002,
    admin_token_file: TokenFile = None,
    trace_endpoint: TraceEndpoint = None,
    trace_every: TraceEvery = TRACED_OF,
    tenants: TenantsFile = None,
    tenant_secret_file: SecretFile = None,
    log_format: Annotated[
        LogFormat,
        typer.Option(help="json: one object per line; this process then stays and forwards signals to Triton."),
    ] = LogFormat.TEXT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Triton's informational log.")] = False,
) -> None:
    """Start the machine's own tritonserver (NVIDIA's image), closed like the embedded server.

    The Triton in PATH replaces this process. It loads no models at run time, its APIs for shared memory, models, traces
    and logging are closed, and HTTP stays on the loopback address. With --log-format json this process keeps running,
    and ends with Triton's exit code.
    """
    configure_logging(log_format)
    try:
        binary = shutil.which("tritonserver")
        if binary is None:
            raise PreconditionError(
                "tritonserver is not in PATH: this command is for NVIDIA's Triton image; elsewhere "
                "'distillex serve' starts the embedded server"
            )
        lexicons = lexicon_dir or shipped_lexicons()
        check_folder(repository, "the model repository", "--repository")
        check_folder(lexicons, "the directory of lexicons", "--lexicon-dir")
        check_base_lexicon(lexicons)
        check_port_numbers({"--grpc-port": grpc_port, "--http-port": http_port, "--metrics-port": metrics_port})
        told = tenant_files(tenants, tenant_secret_file)
        address = own_address(host)
        command = TritonCommand(
            repository=repository.resolve(),
            backends=Path(binary).absolute().parents[1] / "backends",
            grpc=(in_brackets(address), grpc_port),
            http=(LOOPBACK, http_port),
            metrics=(address, metrics_port),
            shared_memory_prefix=f"distillex-{secrets.token_hex(4)}-",
            tls=None,
            verbose=verbose,
            tracing=tracing_of(trace_endpoint, trace_every),
            tenants=told is not None,
        )
        environment = model_environment(os.environ, lexicons, admin_token(admin_token_file), told)
        if log_format is LogFormat.JSON:
            raise typer.Exit(_run_beside([binary, *command.arguments()], environment, verbose=verbose))
        os.execve(binary, [binary, *command.arguments()], environment)
    except PreconditionError as error:
        fail_in(log_format, "triton", str(error), EXIT_PRECONDITION)
    except OSError as error:
        fail_in(log_format, "triton", f"{error.filename}: {error.strerror}", EXIT_PRECONDITION)


def _run_beside(command: Sequence[str], environment: Mapping[str, str], *, verbose: bool) -> int:
    """Run a program whose lines are shown as JSON; return its exit code, as a shell says it."""
    stop = stop_on_signals()
    process = launch(command, environment)
    log = ProcessLog(show=shown("tritonserver", LogFormat.JSON, verbose=verbose))
    log.follow(process)

    def end_it() -> None:
        stop.wait()
        process.terminate()

    threading.Thread(target=end_it, name="hand the signal on", daemon=True).start()
    code = process.wait()
    log.finish(process)
    return code if code >= 0 else 128 - code
