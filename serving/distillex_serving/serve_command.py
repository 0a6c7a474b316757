"""Command ``distillex serve``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer
from distillex.command.options import (
    EXIT_NOT_STARTED,
    EXIT_PRECONDITION,
    LexiconDirectory,
    TokenFile,
    admin_token,
)
from distillex.device import Device, Provider
from distillex.locations import shipped_lexicons
from distillex.models import DEFAULT_MODEL, find_model
from distillex_client.connection import is_loopback
from distillex_client.errors import ModelNotFound
from distillex_matcher import CrfParameters, LayoutError
from distillex_matcher.exported import CRF_FILE

from distillex_serving.command_log import configure_logging, fail_in, say
from distillex_serving.embedded import EmbeddedServer, ServerOptions, find_device
from distillex_serving.errors import PreconditionError, ServerError
from distillex_serving.gate import Gate, GateLimits, put_gate_before
from distillex_serving.locations import shipped_configurations
from distillex_serving.log_format import LogFormat
from distillex_serving.preconditions import check_working_folder
from distillex_serving.repository import Layout, network_of
from distillex_serving.service import Service
from distillex_serving.stop_signals import stop_on_signals
from distillex_serving.supervision import start_all, supervise
from distillex_serving.tenants.options import SecretFile, TenantsFile, tenant_files
from distillex_serving.tls_files import TlsFiles
from distillex_serving.tracing import TRACED_OF
from distillex_serving.tracing_options import TraceEndpoint, TraceEvery, tracing_of

START_TIMEOUT_S, GPU_START_TIMEOUT_S = 60.0, 300.0


def serve(
    student: Annotated[
        str,
        typer.Option(help="Student to serve: NAME of models/student-NAME, or a folder written by 'distillex export'."),
    ] = DEFAULT_MODEL,
    teacher: Annotated[
        Path | None,
        typer.Option(help="Folder of an exported teacher, served as extractor_teacher in addition to extractor."),
    ] = None,
    layout: Annotated[
        Layout, typer.Option(help="fused: one model does it all; ensemble: three; gpu: what --device gpu serves.")
    ] = Layout.FUSED,
    device: Annotated[
        str | None,
        typer.Option(
            help="Device for the network: cpu (default), gpu (the first one) or gpu:NUMBER. A GPU needs "
            "model.gpu.onnx, which 'distillex export --target gpu' writes."
        ),
    ] = None,
    gpu_provider: Annotated[
        Provider,
        typer.Option(
            help="auto: tensorrt-rtx if it is installed and supports the GPU, else cuda; cpu: try the "
            "GPU's fixed shapes on a CPU."
        ),
    ] = Provider.AUTO,
    gpu_memory_mib: Annotated[
        int | None,
        typer.Option(min=1, help="Limit of GPU memory for weights and intermediate results; default: what they need."),
    ] = None,
    gpu_graphs: Annotated[
        bool, typer.Option("--gpu-graphs/--no-gpu-graphs", help="Record the network's runs as CUDA graphs.")
    ] = True,
    repository: Annotated[
        Path | None, typer.Option(help="Folder of the models' configurations; default: the shipped ones.")
    ] = None,
    lexicon_dir: LexiconDirectory = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address for gRPC. Any other than the loopback address goes through the gate. HTTP and "
            "metrics stay on 127.0.0.1."
        ),
    ] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8001,
    http_port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8000,
    metrics_port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8002,
    expose_http: Annotated[
        bool,
        typer.Option(
            help="Bind HTTP and metrics to --host too. Through the gate: only health checks and metrics. "
            "With --no-gate: all of Triton's HTTP, where one hostile request can end the server."
        ),
    ] = False,
    expose_metrics: Annotated[
        bool, typer.Option(help="Bind only metrics to --host too, for Prometheus. HTTP stays on 127.0.0.1.")
    ] = False,
    gate: Annotated[
        bool | None,
        typer.Option(
            "--gate/--no-gate",
            help="Put Envoy before gRPC: it limits requests, allows only the methods and models that "
            "clients need, and refuses requests that end Triton. Default: on if --host is not a "
            "loopback address.",
        ),
    ] = None,
    max_request_mib: Annotated[
        float, typer.Option(help="Largest request that the gate accepts, in MiB.", min=0.01, max=1024)
    ] = 8.0,
    max_connections: Annotated[int, typer.Option(help="Most simultaneous connections of the gate.", min=1)] = 1024,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM certificate for gRPC.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM key for gRPC.")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="PEM CA; requires client certificates signed by it.")
    ] = None,
    admin_token_file: TokenFile = None,
    tenants: TenantsFile = None,
    tenant_secret_file: SecretFile = None,
    start_timeout: Annotated[
        float | None,
        typer.Option(help="Seconds to wait until the models are ready; default: 60, with a GPU 300."),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(help="json: one object per line, including Triton's and Envoy's lines.")
    ] = LogFormat.TEXT,
    trace_endpoint: TraceEndpoint = None,
    trace_every: TraceEvery = TRACED_OF,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Triton's own log.")] = False,
) -> None:
    """Start the embedded Triton server; Ctrl-C or SIGTERM stops it.

    Exit codes: 0 stopped as asked, 2 this machine lacks something or an option cannot be used, 3 the server did not
    become ready. After it was ready once, parts that fail are restarted until you stop it.
    """
    configure_logging(log_format)
    try:
        tls = TlsFiles.of(tls_certificate, tls_key, tls_client_ca)
        tracing = tracing_of(trace_endpoint, trace_every)
        told = tenant_files(tenants, tenant_secret_file)
        check_working_folder()
        chosen = _device(device, gpu_provider, gpu_memory_mib, gpu_graphs, layout)
        layout = Layout.GPU if chosen.gpu is not None and layout is Layout.FUSED else layout
        # Before its file is missed: who has no GPU need not export one.
        find_device(chosen, layout)
        folder = find_model(student, network_of(layout))
        taught_by = find_model(teacher, network_of(layout)) if teacher is not None else None
        types = CrfParameters.load(folder / CRF_FILE).entity_types
    except (PreconditionError, ModelNotFound, LayoutError, ValueError) as error:
        fail_in(log_format, "serve", str(error), EXIT_PRECONDITION)
    say(f"serving {folder}: {', '.join(types)}", log_format)
    options = ServerOptions(
        student=folder,
        teacher=taught_by,
        layout=layout,
        device=chosen,
        repository=repository or shipped_configurations(),
        lexicon_directory=lexicon_dir or shipped_lexicons(),
        host=host,
        grpc_port=grpc_port,
        http_port=http_port,
        metrics_port=metrics_port,
        expose_http=expose_http,
        expose_metrics=expose_metrics,
        tls=tls,
        admin_token=admin_token(admin_token_file),
        tenants=told,
        start_timeout_s=_start_timeout(chosen) if start_timeout is None else start_timeout,
        verbose=verbose,
        log_format=log_format,
        tracing=tracing,
    )
    stop = stop_on_signals()
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
                if server.device.gpu is not None:
                    say(f"network: {server.device}, provider {server.device.provider.value}", log_format)
                say(_ready_line(server, front), log_format)
                supervise(services, stop)
        except PreconditionError as error:
            fail_in(log_format, "serve", str(error), EXIT_PRECONDITION)
        except ServerError as error:
            fail_in(log_format, "serve", str(error), EXIT_NOT_STARTED)
    say("stopped", log_format)


def _device(name: str | None, provider: Provider, memory_mib: int | None, graphs: bool, layout: Layout) -> Device:
    if name is None:
        name = "gpu" if layout is Layout.GPU else "cpu"
    device = Device.of(name)
    if device.gpu is not None:
        return Device(device.gpu, provider, memory_mib, graphs)
    for option, given in (
        ("--gpu-provider", provider is not Provider.AUTO),
        ("--gpu-memory-mib", memory_mib),
        ("--no-gpu-graphs", not graphs),
    ):
        if given:
            raise ValueError(f"{option} is for a GPU: give --device gpu too")
    return device


def _start_timeout(device: Device) -> float:
    # Each bucket is run several times before the network is ready, and the first run on a GPU loads its libraries.
    return START_TIMEOUT_S if device.gpu is None else GPU_START_TIMEOUT_S


def _ready_line(server: EmbeddedServer, gate: Gate | None) -> str:
    if gate is None:
        return f"ready: gRPC {server.grpc_url}, HTTP {server.http_url}, metrics {server.metrics_url}"
    urls = {"http": server.http_url, "metrics": server.metrics_url, **gate.http_urls}
    return f"ready: gRPC {gate.grpc_url} (through the gate), HTTP {urls['http']}, metrics {urls['metrics']}"
