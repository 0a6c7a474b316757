"""The embedded server: the real tritonserver of the nvidia-pytriton wheel, started on a model repository.

Its binary is started directly, not through pytriton's classes: those copy the backends for each start, run models
inside the calling process and cannot serve an existing repository with ensembles. What they set up (library path,
stub, interpreter) is set up here.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from distillex_serving import preconditions
from distillex_serving.locations import default_lexicon_directory, default_repository
from distillex_serving.preconditions import PreconditionError
from distillex_serving.processes import session_members
from distillex_serving.students import lay_over
from distillex_serving.teacher import compose_teacher_repository
from distillex_serving.triton_log import reasons

LOOPBACK = "127.0.0.1"
CLOSED_APIS = "shared-memory,model-repository,trace,logging"
SET_PARENT_DEATH_SIGNAL = 1
LOG_LINES_KEPT = 400
START_RACE = "boost::interprocess::lock_exception"
"""On a busy machine Triton 2.51 sometimes ends with this while it sets up a stub's shared memory (1 start of 25
with 12 processes on 2 cores); the next start succeeds."""
MOST_STARTS = 3


class ServerError(RuntimeError):
    """The server did not come up, or died; the message holds the lines of its log that say why."""


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for gRPC: the server's certificate and key, and a CA to demand client certificates of."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True)
class ServerOptions:
    """How to start the server; a port of 0 takes a free one."""

    repository: Path = field(default_factory=default_repository)
    student: Path | None = None
    """Serving folder of a student, laid over the repository's own; None serves the repository as it is."""
    lexicon_directory: Path | None = None
    """None: ``lexicons`` beside the repository."""
    host: str = LOOPBACK
    """Address of gRPC. HTTP and metrics stay on the loopback address unless ``expose_http``."""
    grpc_port: int = 8001
    http_port: int = 8000
    metrics_port: int = 8002
    expose_http: bool = False
    model_config_name: str = "cpu"
    teacher: Path | None = None
    """An exported teacher, served as ``extractor_teacher`` beside ``extractor``."""
    tls: TlsFiles | None = None
    admin_token: str | None = None
    """Without one, the server refuses lexicons over the network."""
    start_timeout_s: float = 60.0
    verbose: bool = False


class EmbeddedServer:
    """Start, watch and stop one tritonserver.

    Examples
    --------
    >>> with EmbeddedServer(ServerOptions(grpc_port=0, http_port=0, metrics_port=0)) as server:  # doctest: +SKIP
    ...     print(server.grpc_url)
    """

    def __init__(self, options: ServerOptions | None = None) -> None:
        self.options = options or ServerOptions()
        self._process: subprocess.Popen[str] | None = None
        self._workspace: Path | None = None
        self._log: deque[str] = deque(maxlen=LOG_LINES_KEPT)
        self._reader: threading.Thread | None = None
        self.processes: frozenset[int] = frozenset()
        """Process ids of the server and its stubs when it became ready."""
        self.grpc_port = self.options.grpc_port
        self.http_port = self.options.http_port
        self.metrics_port = self.options.metrics_port

    @property
    def grpc_url(self) -> str:
        """``host:port`` for gRPC clients."""
        host = LOOPBACK if self.options.host in ("0.0.0.0", "::") else self.options.host
        return f"{host}:{self.grpc_port}"

    @property
    def http_url(self) -> str:
        """Base URL of Triton's HTTP API."""
        return f"http://{LOOPBACK}:{self.http_port}"

    @property
    def metrics_url(self) -> str:
        """URL of the Prometheus metrics."""
        return f"http://{LOOPBACK}:{self.metrics_port}/metrics"

    @property
    def pid(self) -> int | None:
        """Process id of tritonserver, or None."""
        return self._process.pid if self._process is not None else None

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
            When this machine lacks something; says what.
        ServerError
            When the server does not become ready; holds its own words.
        """
        triton = self._check()
        try:
            command = self._prepare(triton)
            for attempt in range(1, MOST_STARTS + 1):
                try:
                    self._launch(command, triton.libraries)
                    break
                except ServerError:
                    if attempt == MOST_STARTS or not any(START_RACE in line for line in self._log):
                        raise
                    self._end_process()
        except BaseException:
            self.stop()
            raise

    def _prepare(self, triton: preconditions.TritonInstallation) -> list[str]:
        """Lay out the workspace; return tritonserver's command line."""
        self._workspace = Path(tempfile.mkdtemp(prefix="distillex-server-"))
        backend = self._workspace / "backends" / "python"
        backend.mkdir(parents=True)
        for path in (triton.backends / "python").glob("*"):
            if path.name != "__pycache__":
                (backend / path.name).symlink_to(path)
        (backend / "triton_python_backend_stub").symlink_to(triton.stub)
        repository = self.options.repository
        if self.options.student is not None:
            repository = self._workspace / "model_repository"
            repository.mkdir()
            lay_over(self.options.repository.resolve(), self.options.student, repository)
        arguments = self._arguments(repository, self._workspace / "backends")
        if self.options.teacher is not None:
            view = compose_teacher_repository(self.options.teacher, repository, self._workspace / "teacher_repository")
            # Triton joins its repositories: an ensemble of one may use a model of the other.
            arguments.append(f"--model-repository={view}")
        return [str(triton.binary), *arguments]

    def _launch(self, command: list[str], libraries: Path) -> None:
        """Start tritonserver and wait until it is ready."""
        self._log.clear()
        self._process = subprocess.Popen(
            command,
            env=self._environment(libraries),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509
        )
        self._reader = threading.Thread(target=self._read_log, args=(self._process,), daemon=True)
        self._reader.start()
        self._wait_until_ready()
        self.processes = frozenset(session_members(self._process.pid))

    def is_alive(self) -> bool:
        """Tell whether tritonserver still runs."""
        return self._process is not None and self._process.poll() is None

    def is_ready(self, timeout_s: float = 1.0) -> bool:
        """Ask the server whether all its models are ready."""
        try:
            url = f"{self.http_url}/v2/health/ready"
            with urllib.request.urlopen(url, timeout=timeout_s) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self, timeout_s: float = 15.0) -> None:
        """Stop the server and every process that it started: SIGTERM, then SIGKILL."""
        self._end_process(timeout_s)
        if self._workspace is not None:
            shutil.rmtree(self._workspace, ignore_errors=True)
            self._workspace = None

    def _end_process(self, timeout_s: float = 15.0) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout_s)
            # The stubs share the server's session; whatever is left of it goes now.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._reader is not None:
            self._reader.join(timeout=2)
            self._reader = None
        if process is not None and process.stdout is not None:
            process.stdout.close()

    def last_log_lines(self, count: int = 20) -> list[str]:
        """Return the last lines that the server printed."""
        return list(self._log)[-count:]

    def _check(self) -> preconditions.TritonInstallation:
        options = self.options
        triton = preconditions.find_triton()
        preconditions.find_libpython()
        preconditions.check_numpy()
        preconditions.check_onnxruntime()
        preconditions.check_shared_memory()
        if not options.repository.is_dir():
            raise PreconditionError(f"{options.repository}: the model repository does not exist (--repository)")
        http_host = options.host if options.expose_http else LOOPBACK
        for attribute, host in (("grpc", options.host), ("http", http_host), ("metrics", http_host)):
            port = getattr(options, f"{attribute}_port")
            if port == 0:
                setattr(self, f"{attribute}_port", preconditions.free_port())
            else:
                preconditions.check_port(host, port, attribute)
        return triton

    def _arguments(self, repository: Path, backends: Path) -> list[str]:
        options = self.options
        http_host = options.host if options.expose_http else LOOPBACK
        key = secrets.token_hex(16)
        arguments = [
            f"--model-repository={repository.resolve()}",
            f"--backend-directory={backends}",
            f"--model-config-name={options.model_config_name}",
            "--model-control-mode=none",
            "--disable-auto-complete-config",
            f"--grpc-address={options.host}",
            f"--grpc-port={self.grpc_port}",
            f"--http-address={http_host}",
            f"--http-port={self.http_port}",
            f"--metrics-address={http_host}",
            f"--metrics-port={self.metrics_port}",
            # Nothing of ours calls these; the key is forgotten at once.
            f"--http-restricted-api={CLOSED_APIS}:admin-key={key}",
            f"--grpc-restricted-protocol={CLOSED_APIS}:admin-key={key}",
            "--exit-timeout-secs=10",
            f"--log-info={'true' if options.verbose else 'false'}",
        ]
        if options.tls is not None:
            arguments += [
                "--grpc-use-ssl=1",
                f"--grpc-server-cert={options.tls.certificate}",
                f"--grpc-server-key={options.tls.key}",
            ]
            if options.tls.client_ca is not None:
                arguments += ["--grpc-use-ssl-mutual=1", f"--grpc-root-cert={options.tls.client_ca}"]
        return arguments

    def _environment(self, libraries: Path) -> dict[str, str]:
        options = self.options
        environment = dict(os.environ)
        libpython = preconditions.find_libpython().parent
        paths = [str(libraries), str(libpython), environment.get("LD_LIBRARY_PATH", "")]
        environment["LD_LIBRARY_PATH"] = ":".join(path for path in paths if path)
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment.get('PATH', '')}"
        # The stubs embed Python without this interpreter's virtual environment: they get its path as it is.
        environment["PYTHONPATH"] = ":".join(path for path in sys.path if path)
        lexicons = options.lexicon_directory or default_lexicon_directory(options.repository)
        environment["DISTILLEX_LEXICON_DIR"] = str(lexicons.resolve())
        environment.pop("DISTILLEX_ADMIN_TOKEN", None)
        if options.admin_token:
            environment["DISTILLEX_ADMIN_TOKEN"] = options.admin_token
        return environment

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.options.start_timeout_s
        while time.monotonic() < deadline:
            if not self.is_alive():
                raise ServerError("tritonserver ended before it was ready:\n" + self._reasons())
            if self.is_ready():
                return
            time.sleep(0.05)
        raise ServerError(f"tritonserver was not ready within {self.options.start_timeout_s:.0f} s:\n{self._reasons()}")

    def _reasons(self) -> str:
        if self._reader is not None:
            self._reader.join(timeout=0.5)
        return reasons(list(self._log))

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        with contextlib.suppress(ValueError):
            for line in process.stdout:
                self._log.append(line.rstrip())
                if self.options.verbose:
                    sys.stderr.write(line)


def _die_with_parent() -> None:
    """Ask Linux to end the server when the process that started it dies, however it dies."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
