"""``distillex serve`` as a process: ready, watched, stopped, and clear when it cannot start."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("tritonclient.grpc")
from distillex_serving import preconditions
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.errors import PreconditionError
from distillex_serving.processes import session_members
from server_under_test import REPOSITORY, server_options, why_no_server

pytestmark = pytest.mark.server


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_answers_while_it_runs_and_leaves_no_process_behind(serving, number):
    server = serving()
    http = server.wait_for(r"ready: gRPC \S+, HTTP (\S+), metrics (\S+)")
    for url in (f"{http[1]}/v2/health/ready", f"{http[1]}/v2/models/extractor", http[2]):
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert answer.status == 200
    session = server.tritonserver()
    names = session_members(session).values()
    assert "tritonserver" in names
    assert sum(name.startswith("triton_python") for name in names) >= 2
    server.process.send_signal(number)
    assert server.process.wait(30) == 0
    assert session_members(session) == {}


def test_many_signals_at_once_stop_it_too(serving):
    server = serving("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
    server.wait_for("ready")
    for _ in range(50):
        with contextlib.suppress(ProcessLookupError):
            server.process.terminate()
            server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0


def test_told_to_stop_while_it_starts_it_ends_soon(serving, tmp_path):
    shutil.copytree(REPOSITORY, tmp_path / "model_repository")
    with (tmp_path / "model_repository" / "extractor" / "1" / "model.py").open("a", encoding="utf-8") as file:
        file.write("\nimport time\n\ntime.sleep(600)\n")
    server = serving("--repository", str(tmp_path / "model_repository"), "--start-timeout", "600")
    server.wait_for("serving")
    while (session := server.tritonserver()) is None:
        assert server.process.poll() is None
        time.sleep(0.05)
    server.process.terminate()
    assert server.process.wait(60) == 0
    assert session_members(session) == {}


def test_a_killed_stub_is_noticed_and_the_server_comes_back(serving):
    server = serving()
    server.wait_for("ready: gRPC")
    stub = next(pid for pid, name in session_members(server.tritonserver()).items() if name.startswith("triton_python"))
    os.kill(stub, signal.SIGKILL)
    server.wait_for("a Python-backend stub died")
    server.wait_for("ready again")
    server.process.terminate()
    assert server.process.wait(30) == 0


def test_the_server_dies_with_the_process_that_started_it(serving):
    server = serving()
    server.wait_for("ready: gRPC")
    session = server.tritonserver()
    server.process.kill()
    server.process.wait(10)
    deadline = time.monotonic() + 20
    while session_members(session) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert session_members(session) == {}


def test_a_busy_port_is_named(serving):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        server = serving("--grpc-port", str(port))
        assert server.process.wait(30) == 2
        assert f"the grpc port {port} on 127.0.0.1 cannot be used" in server.process.stdout.read()


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_told_before_a_file_is_missed_or_anything_starts(serving):
    for arguments, sentence in (
        (("--device", "gpu"), "--device gpu:0: no NVIDIA driver is here"),
        (("--layout", "gpu", "--student", "planet"), "--device gpu:0: no NVIDIA driver is here"),
        (("--device", "gpu", "--gpu-provider", "cpu"), "model.gpu.onnx missing; 'distillex export "),
        (("--device", "cpu", "--layout", "gpu"), "--device cpu and --layout gpu: a GPU runs"),
        (("--device", "gpu", "--gpu-memory-mib", "0"), "--gpu-memory-mib is '0'; it has to be greater"),
        (("--device", ""), "device '': cpu, gpu or gpu:NUMBER is accepted"),
        (("--device", "cuda"), "device 'cuda': cpu, gpu or gpu:NUMBER is accepted"),
        (("--gpu-memory-mib", "100"), "--gpu-memory-mib is for a GPU: give --device gpu too"),
        (
            ("--device", "gpu", "--layout", "ensemble"),
            "--device gpu:0 and --layout ensemble: a GPU runs",
        ),
    ):
        server = serving(*arguments)
        assert server.process.wait(60) == 2
        assert sentence in server.process.stdout.read()


def test_a_missing_base_lexicon_is_named(tmp_path):
    if reason := why_no_server():
        pytest.skip(reason)
    with pytest.raises(PreconditionError, match=f"{tmp_path}: no lexicon 'base' is installed there"):
        EmbeddedServer(server_options(tmp_path)).start()


def test_numpy_2_is_refused(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.1.0")
    with pytest.raises(PreconditionError, match=r"needs numpy below 2, found 2\.1\.0"):
        preconditions.check_numpy()


def test_a_python_without_a_stub_is_refused(monkeypatch):
    if reason := why_no_server():
        pytest.skip(reason)
    version = type("version", (), {"major": 3, "minor": 99})
    monkeypatch.setattr("sys.version_info", version)
    with pytest.raises(PreconditionError, match=r"no Python-backend stub for Python 3\.99; it has stubs for 3\.8"):
        preconditions.find_triton()


def test_a_python_without_its_shared_library_is_refused(monkeypatch):
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: "libpython3.99.a" if "LDL" in name else None)
    with pytest.raises(PreconditionError, match="no shared library libpython"):
        preconditions.find_libpython()


def test_too_little_shared_memory_is_refused(tmp_path):
    preconditions.check_shared_memory(tmp_path, needed=1)
    with pytest.raises(PreconditionError, match=r"MiB free; the server needs .* --shm-size"):
        preconditions.check_shared_memory(tmp_path, needed=2**60)
    with pytest.raises(PreconditionError, match="does not exist"):
        preconditions.check_shared_memory(tmp_path / "shm")
