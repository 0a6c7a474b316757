"""The embedded server: the real tritonserver of the nvidia-pytriton wheel, started on a model repository.

Its binary is started directly, not through pytriton's classes: those copy the backends for each start, run models
inside the calling process and cannot serve an existing repository with ensembles. What they set up (library path,
stub, interpreter) is set up here.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from distillex.device import CPU, Device
from distillex.errors import DeviceError
from distillex.locations import shipped_lexicons
from distillex.models import DEFAULT_MODEL, find_model

from distillex_serving import preconditions
from distillex_serving.addresses import LOOPBACK, in_brackets, own_address, reachable
from distillex_serving.errors import PreconditionError, ServerError
from distillex_serving.locations import shipped_configurations
from distillex_serving.log_format import LogFormat, shown
from distillex_serving.process_log import ProcessLog
from distillex_serving.processes import command_line, session_members, status_of
from distillex_serving.progress import ProgressWatch
from distillex_serving.repository import Layout, compose
from distillex_serving.stub_python import write_environment
from distillex_serving.tenants.files import TenantFiles
from distillex_serving.tls_files import TlsFiles
from distillex_serving.tracing import Tracing
from distillex_serving.triton_command import TritonCommand, triton_environment
from distillex_serving.triton_log import reasons
from distillex_serving.workspace import Workspace, remove_leftovers

EMBEDDED_LAYOUTS = (Layout.FUSED, Layout.GPU, Layout.ENSEMBLE)
STOP_TIMEOUT_S = 15.0
"""tritonserver has so long to end before it is killed: what a stop takes at most."""
NO_GPU = re.compile(r"CudaDriverHelper|CUDA driver version|pinned.memory|NVML|DCGM")
"""What Triton says at each start without a GPU: nothing that a reader of its last words should look into."""


@dataclass(frozen=True)
class ServerOptions:
    """How to start the server; a port of 0 takes a free one."""

    student: Path = field(default_factory=lambda: find_model(DEFAULT_MODEL))
    """Folder of an exported model."""
    teacher: Path | None = None
    """The same, served as ``extractor_teacher`` beside ``extractor``."""
    layout: Layout = Layout.FUSED
    device: Device = CPU
    """Which GPU runs the network of the layout ``gpu``, and by which provider."""
    repository: Path = field(default_factory=shipped_configurations)
    """Folder of the models' configurations."""
    lexicon_directory: Path = field(default_factory=shipped_lexicons)
    host: str = LOOPBACK
    """Address of gRPC. HTTP and metrics stay on the loopback address unless ``expose_http`` (both) or
    ``expose_metrics``."""
    grpc_port: int = 8001
    grpc_socket: Path | None = None
    """Unix socket for gRPC, in place of ``host`` and ``grpc_port``; its name ends with ``:1``."""
    http_port: int = 8000
    metrics_port: int = 8002
    expose_http: bool = False
    expose_metrics: bool = False
    tls: TlsFiles | None = None
    admin_token: str | None = None
    """Without one, the server refuses lexicons over the network."""
    tenants: TenantFiles | None = None
    """Without them, every caller may use every lexicon."""
    start_timeout_s: float = 60.0
    verbose: bool = False
    log_format: LogFormat = LogFormat.TEXT
    """As JSON, tritonserver's lines are shown whether ``verbose`` or not."""
    tracing: Tracing | None = None
    """Where spans of requests go; nowhere by default."""


class EmbeddedServer:
    """Start, watch and stop one tritonserver; a :class:`~distillex_serving.service.Service`.

    Examples
    --------
    >>> with EmbeddedServer(ServerOptions(grpc_port=0, http_port=0, metrics_port=0)) as server:  # doctest: +SKIP
    ...     print(server.grpc_url)
    """

    name = "tritonserver"

    def __init__(self, options: ServerOptions | None = None) -> None:
        self.options = options or ServerOptions()
        self._process: subprocess.Popen[str] | None = None
        self._workspace: Workspace | None = None
        show = shown("tritonserver", self.options.log_format, verbose=self.options.verbose, hides=NO_GPU)
        self._log = ProcessLog(
            show=show,
            shows_start=self.options.verbose or self.options.log_format is LogFormat.JSON,
            keeps=lambda line: NO_GPU.search(line) is None,
        )
        self._progress: ProgressWatch | None = None
        self.device = self.options.device
        """With the provider that was chosen, once started."""
        self.processes: dict[int, str] = {}
        """Process id → what it is (``tritonserver``, ``extractor_0_0``), of the server and its stubs, once ready."""
        self.grpc_port = self.options.grpc_port
        self.http_port = self.options.http_port
        self.metrics_port = self.options.metrics_port

    @property
    def grpc_url(self) -> str:
        """``host:port`` for gRPC clients on this machine, or the ``unix:`` name of the socket."""
        if self.options.grpc_socket is not None:
            return f"unix:{self.options.grpc_socket}"
        return reachable(self.options.host, self.grpc_port)

    @property
    def http_url(self) -> str:
        """Base URL of Triton's HTTP API."""
        return f"http://{reachable(self._http_host, self.http_port)}"

    @property
    def metrics_url(self) -> str:
        """URL of the Prometheus metrics."""
        return f"http://{reachable(self._metrics_host, self.metrics_port)}/metrics"

    @property
    def pid(self) -> int | None:
        """Process id of tritonserver, or None."""
        process = self._process
        return process.pid if process is not None else None

    def __enter__(self) -> EmbeddedServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until every model answers.

        Raises
        ------
        PreconditionError
            When this machine lacks something, or an option cannot be used; says what.
        ServerError
            When the server does not become ready; holds its own words.
        """
        options = self.options
        triton = self._check()
        try:
            self._workspace = workspace = Workspace()
            command = [str(triton.binary), *self._prepare(triton, workspace).arguments()]
            programs = write_environment(workspace.path / "python")
            environment = triton_environment(
                triton.libraries, programs, options.lexicon_directory, options.admin_token, options.tenants
            )
            self._launch(workspace, command, environment)
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError):
                raise PreconditionError(f"{error.filename or triton.binary}: {error.strerror}") from error
            raise

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop the server and every process that it started: SIGTERM, then SIGKILL.

        One of which a part died already is not asked: it would answer calls with errors for some seconds.
        """
        self._end_process(timeout_s)
        workspace, self._workspace = self._workspace, None
        if workspace is not None:
            workspace.remove()

    def is_alive(self) -> bool:
        """Tell whether tritonserver still runs."""
        process = self._process
        return process is not None and process.poll() is None

    def failure(self) -> str | None:
        """Return what died or stands still, in words; None while all is well."""
        process = self._process
        if process is None:
            return "tritonserver was stopped"
        if (code := process.poll()) is not None:
            return f"tritonserver died ({_end_in_words(code)})"
        for pid, what in self.processes.items():
            status = status_of(pid)
            if pid != process.pid and (status is None or status.session != process.pid):
                return f"a Python-backend stub died ({what})"
        return self._progress.standstill() if self._progress is not None else None

    def is_ready(self, timeout_s: float = 1.0) -> bool:
        """Ask the server whether all its models are ready."""
        try:
            url = f"{self.http_url}/v2/health/ready"
            with urllib.request.urlopen(url, timeout=timeout_s) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def last_log_lines(self, count: int = 20) -> list[str]:
        """Return the last lines that the server printed."""
        return self._log.last(count)

    @property
    def _http_host(self) -> str:
        return self.options.host if self.options.expose_http else LOOPBACK

    @property
    def _metrics_host(self) -> str:
        return self.options.host if self.options.expose_http or self.options.expose_metrics else LOOPBACK

    def _check(self) -> preconditions.TritonInstallation:
        options = self.options
        preconditions.check_working_folder()
        triton = preconditions.find_triton()
        preconditions.find_libpython()
        preconditions.check_numpy()
        preconditions.check_onnxruntime()
        preconditions.check_open_files()
        preconditions.check_timeout(options.start_timeout_s, "--start-timeout")
        if options.layout not in EMBEDDED_LAYOUTS:
            raise PreconditionError(
                f"--layout {options.layout.value}: the embedded server has no such backend; 'distillex repository' "
                "writes a repository for a Triton that has"
            )
        self.device = find_device(options.device, options.layout)
        preconditions.check_folder(options.repository, "the folder of the models' configurations", "--repository")
        preconditions.check_folder(options.lexicon_directory, "the directory of lexicons", "--lexicon-dir")
        preconditions.check_base_lexicon(options.lexicon_directory)
        if options.tls is not None:
            options.tls.check()
        self._grpc_address, self._http_address = own_address(options.host), own_address(self._http_host)
        self._metrics_address = own_address(self._metrics_host)
        preconditions.check_port_numbers(
            {
                "--grpc-port": options.grpc_port,
                "--http-port": options.http_port,
                "--metrics-port": options.metrics_port,
            }
        )
        remove_leftovers()
        preconditions.check_shared_memory()
        for what, address in (
            *((("grpc", self._grpc_address),) if options.grpc_socket is None else ()),
            ("http", self._http_address),
            ("metrics", self._metrics_address),
        ):
            # A port chosen once is kept: clients come back to it after a restart.
            port = getattr(self, f"{what}_port") or preconditions.free_port(address)
            preconditions.check_port(address, port, what)
            setattr(self, f"{what}_port", port)
        return triton

    def _prepare(self, triton: preconditions.TritonInstallation, workspace: Workspace) -> TritonCommand:
        """Lay out the workspace; return how tritonserver is called."""
        options = self.options
        folder = workspace.path
        backend = folder / "backends" / "python"
        backend.mkdir(parents=True)
        for path in (triton.backends / "python").glob("*"):
            if path.name != "__pycache__":
                (backend / path.name).symlink_to(path)
        (backend / "triton_python_backend_stub").symlink_to(triton.stub)
        # Always under the workspace's name: Triton starts stubs by a shell that divides names at blanks.
        repository = folder / "model_repository"
        compose(
            repository,
            configurations=options.repository,
            student=options.student,
            teacher=options.teacher,
            layout=options.layout,
            parameters=_device_parameters(self.device),
        )
        return TritonCommand(
            repository=repository,
            backends=folder / "backends",
            grpc=self._grpc_listener(),
            http=(self._http_address, self.http_port),
            metrics=(self._metrics_address, self.metrics_port),
            shared_memory_prefix=f"{workspace.name}-",
            tls=options.tls,
            verbose=options.verbose,
            tracing=options.tracing,
            tenants=options.tenants is not None,
        )

    def _grpc_listener(self) -> tuple[str, int]:
        if self.options.grpc_socket is None:
            return in_brackets(self._grpc_address), self.grpc_port
        # Triton joins the two by a colon, and gRPC reads the whole as the name of a socket.
        address, _, port = str(self.options.grpc_socket).rpartition(":")
        return f"unix:{address}", int(port)

    def _launch(self, workspace: Workspace, command: list[str], environment: dict[str, str]) -> None:
        """Start tritonserver and wait until it is ready."""
        self.processes, self._progress = {}, None
        self._process = process = workspace.launch(command, environment, workspace.path)
        self._log.follow(process)
        self._wait_until_ready()
        self._log.started()
        self._progress = ProgressWatch(self.metrics_url)
        self.processes = {pid: _what_it_is(pid, name) for pid, name in session_members(process.pid).items()}

    def _end_process(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        whole = self.failure() is None
        process, self._process = self._process, None
        if process is not None:
            if whole:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout_s)
            # The stubs share the server's session; whatever is left of it goes now.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._log.finish(process)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.options.start_timeout_s
        while time.monotonic() < deadline:
            if not self.is_alive():
                raise ServerError("tritonserver ended before it was ready:\n" + self._reasons())
            if self.is_ready():
                return
            time.sleep(0.05)
        raise ServerError(f"tritonserver was not ready within {self.options.start_timeout_s:g} s:\n{self._reasons()}")

    def _reasons(self) -> str:
        self._log.wait()
        return reasons(list(self._log.lines))


def find_device(device: Device, layout: Layout) -> Device:
    """Return the device with the provider that it will have.

    Raises
    ------
    PreconditionError
        Where the GPU, its driver or a provider is missing; for a device that does not belong to the layout.
    """
    if (layout is Layout.GPU) != (device.gpu is not None):
        raise PreconditionError(
            f"--device {device} and --layout {layout.value}: a GPU runs the network of the layout gpu, and of no other"
        )
    if device.gpu is None:
        return device
    preconditions.check_onnxruntime()
    from distillex.gpu.providers import resolve

    try:
        return resolve(device)
    except DeviceError as error:
        raise PreconditionError(f"--device {device}: {error}") from None


def _device_parameters(device: Device) -> dict[str, str]:
    if device.gpu is None:
        return {}
    return {
        "device": str(device),
        "gpu_provider": device.provider.value,
        "gpu_memory_mib": str(device.memory_mib or 0),
        "gpu_graphs": str(int(device.graphs)),
    }


def _what_it_is(pid: int, name: str) -> str:
    """Return the model instance that a stub serves: the last but one of its arguments."""
    arguments = command_line(pid)
    return arguments[-2] if name.startswith("triton_python") and len(arguments) > 1 else name


def _end_in_words(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
