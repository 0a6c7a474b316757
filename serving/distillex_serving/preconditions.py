"""Check what the embedded server needs before it starts; a stub that cannot start would make Triton wait."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import math
import os
import random
import resource
import shutil
import socket
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distillex_serving.errors import PreconditionError

SHARED_MEMORY_BYTES = 64 * 1024 * 1024
"""What four Python-backend stubs ask of /dev/shm, with room to grow."""
OPEN_FILES = 256
"""tritonserver opens 70 when nobody calls it; each connection is one more."""
DRAWN_PORTS = range(20000, 32768)
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass(frozen=True)
class TritonInstallation:
    """Where the nvidia-pytriton wheel keeps its server."""

    binary: Path
    backends: Path
    stub: Path
    libraries: Path


def find_triton() -> TritonInstallation:
    """Locate the server of nvidia-pytriton and the stub for this Python.

    Raises
    ------
    PreconditionError
        When the package is missing or has no stub for this Python.
    """
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise PreconditionError("nvidia-pytriton is not installed: pip install 'distillex[serve]'")
    package = Path(spec.submodule_search_locations[0])
    server = package / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.exists():
        stubs = (server / "python_backend_stubs").glob("*")
        available = ", ".join(sorted((path.name for path in stubs), key=lambda v: tuple(map(int, v.split(".")))))
        raise PreconditionError(
            f"nvidia-pytriton has no Python-backend stub for Python {version}; it has stubs for {available or 'none'}"
        )
    libraries = server / "external_libs"
    if not libraries.is_dir():
        libraries = package.parent / "nvidia_pytriton.libs"
    return TritonInstallation(server / "bin" / "tritonserver", server / "backends", stub, libraries)


def find_libpython() -> Path:
    """Locate the interpreter's shared library, which the stub loads.

    Raises
    ------
    PreconditionError
        When there is none.
    """
    name = sysconfig.get_config_var("INSTSONAME") or sysconfig.get_config_var("LDLIBRARY") or ""
    folders = [sysconfig.get_config_var("LIBDIR"), str(Path(sys.base_prefix) / "lib")]
    folders += ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]
    for folder in folders:
        path = Path(folder or "/nonexistent") / name
        if name.startswith("libpython") and ".so" in name and path.exists():
            return path
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    raise PreconditionError(
        f"this Python has no shared library libpython{version}.so, which Triton's Python backend loads: install "
        f"libpython{version} (Debian, Ubuntu) or use a Python built with --enable-shared"
    )


def check_numpy() -> None:
    """Raise PreconditionError where numpy is 2 or newer: the wheel's Python backend was built against numpy 1."""
    version = importlib.metadata.version("numpy")
    if int(version.split(".")[0]) >= 2:
        raise PreconditionError(f"the embedded server needs numpy below 2, found {version}: pip install 'numpy<2'")


def check_onnxruntime() -> None:
    """Raise PreconditionError where onnxruntime is missing."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise PreconditionError("onnxruntime is not installed: pip install 'distillex[serve]'")


def check_shared_memory(folder: Path = Path("/dev/shm"), needed: int = SHARED_MEMORY_BYTES) -> None:
    """Raise PreconditionError where /dev/shm is too small for the Python backend."""
    if not folder.is_dir():
        raise PreconditionError(f"{folder} does not exist; Triton's Python backend needs shared memory there")
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PreconditionError(
            f"{folder} has {free // 2**20} MiB free; the server needs {needed // 2**20} MiB "
            "(in a container: --shm-size=256m)"
        )


def check_open_files(needed: int = OPEN_FILES) -> None:
    """Raise PreconditionError where a process may not open enough files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise PreconditionError(
            f"a process may open {hard} files here; the server needs {needed} and one more for each connection "
            "(ulimit -n; in a container: --ulimit nofile=65536)"
        )


def check_working_folder() -> None:
    """Raise PreconditionError where the folder in which the command runs was deleted."""
    try:
        Path.cwd()
    except OSError as error:
        raise PreconditionError(
            f"the working folder cannot be used ({error.strerror}): it was deleted or moved; cd to another one"
        ) from None


def check_folder(path: Path, what: str, option: str) -> None:
    """Raise PreconditionError where ``path`` is no folder that can be read."""
    if not path.is_dir():
        problem = "is not a folder" if path.exists() else "does not exist"
    elif not os.access(path, os.R_OK | os.X_OK):
        problem = "may not be read by this user"
    else:
        return
    raise PreconditionError(f"{path}: {what} {problem} ({option})")


def check_base_lexicon(lexicons: Path) -> None:
    """Raise PreconditionError where texts would miss the base lexicon."""
    if not (lexicons / "base" / "CURRENT").is_file():
        raise PreconditionError(
            f"{lexicons}: no lexicon 'base' is installed there (--lexicon-dir); 'distillex lexicon build' makes one"
        )


def check_timeout(seconds: float, option: str) -> None:
    """Raise PreconditionError where a time to wait is none."""
    if not seconds > 0 or math.isinf(seconds):
        raise PreconditionError(f"{option} {seconds:g}: a number of seconds above 0 is accepted")


def check_port_numbers(ports: Mapping[str, int]) -> None:
    """Raise PreconditionError where one of ``ports``, by their options, is no port, or is there twice."""
    options: dict[int, str] = {}
    for option, port in ports.items():
        if not 0 <= port <= 65535:
            raise PreconditionError(f"{option} {port}: ports are numbers from 1 to 65535; 0 takes a free one")
        if port and port in options:
            raise PreconditionError(f"{options[port]} and {option} are both {port}: each needs its own port")
        options[port] = option


def check_port(host: str, port: int, what: str) -> None:
    """Raise PreconditionError where a port cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PreconditionError(
                f"the {what} port {port} on {host} cannot be used ({os.strerror(error.errno or 0)}): choose another "
                f"with --{what}-port"
            ) from None


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free at this moment, and that the system gives to nobody who does not ask for it.

    It is bound later, and once more after each restart: one of those that the system hands out may then be the end of
    some connection.
    """
    first, last = _handed_out()
    drawn = (port for port in random.SystemRandom().sample(DRAWN_PORTS, 100) if not first <= port <= last)
    for port in drawn:
        with contextlib.suppress(OSError):
            return _bound(host, port)
    return _bound(host, 0)


def _bound(host: str, port: int) -> int:
    """Return the port that can be bound; raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, port))
        found: int = probe.getsockname()[1]
        return found


def _handed_out() -> tuple[int, int]:
    """Return the first and the last port that the system gives to whoever asks for none."""
    try:
        first, last = PORT_RANGE.read_text(encoding="ascii").split()
        return int(first), int(last)
    except (OSError, ValueError):
        return 32768, 60999
