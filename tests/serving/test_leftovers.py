"""Whose a process is and what it leaves: servers live as long as their process, and no trace of a killed one stays."""

from __future__ import annotations

import os
import resource
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("tritonclient.grpc")
from distillex_client import Extractor, Retries
from distillex_serving import workspace
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.launcher import launch
from distillex_serving.processes import processes_with, session_members, status_of
from distillex_serving.workspace import Workspace, remove_leftovers
from server_under_test import server_options, why_no_server

SHARED_MEMORY = Path("/dev/shm")


def traces_of(pid):
    """Paths and processes that bear the name of the workspace of a process."""
    mark = f"-{pid}-{traces_of.started[pid]}-"
    folders = (Path(tempfile.gettempdir()), SHARED_MEMORY)
    paths = [path for folder in folders for path in folder.glob("distillex-*") if mark in path.name]
    traces_of.names |= {path.name for path in paths if path.is_dir() and mark in path.name}
    names = [name for name in traces_of.names if mark in name]
    return paths, [pid for name in names for pid in processes_with(workspace.VARIABLE, name)]


traces_of.started, traces_of.names = {}, set()


def remember(pid):
    traces_of.started[pid] = status_of(pid).started
    return pid


@pytest.mark.server
def test_the_next_start_removes_all_that_a_killed_one_left_and_nothing_else(serving, server):
    neighbour = remember(os.getpid())
    killed = serving()
    killed.wait_for("ready: gRPC")
    pid = remember(killed.process.pid)
    tritonserver = killed.tritonserver()
    stubs = [member for member in session_members(tritonserver) if member != tritonserver]
    paths, processes = traces_of(pid)
    assert {path.parent for path in paths} == {Path(tempfile.gettempdir()), SHARED_MEMORY}
    assert {tritonserver, *stubs} <= set(processes)
    others, other_processes = traces_of(neighbour)
    assert others
    assert server.pid in other_processes
    # Both at once, as where a container runs out of memory: the stubs are left without anyone to end them.
    killed.process.kill()
    os.kill(tritonserver, signal.SIGKILL)
    killed.process.wait(10)
    assert any(status_of(stub) for stub in stubs)

    serving().wait_for("ready: gRPC")

    assert traces_of(pid) == ([], [])
    assert set(others) <= set(traces_of(neighbour)[0])
    with Extractor(server.grpc_url) as extractor:
        assert extractor.extract("华为技术有限公司")


@pytest.mark.server
def test_a_server_that_is_stopped_leaves_nothing(serving):
    stopped = serving()
    stopped.wait_for("ready: gRPC")
    pid = remember(stopped.process.pid)
    stopped.process.terminate()
    assert stopped.process.wait(30) == 0
    assert traces_of(pid) == ([], [])


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """A temporary folder and shared memory of this test's own."""
    for name in ("tmp", "shm"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(workspace, "SHARED_MEMORY", tmp_path / "shm")
    return tmp_path / "tmp", tmp_path / "shm"


def test_only_what_is_surely_a_dead_owners_is_removed(folders):
    temporary, shared_memory = folders
    own = Workspace()
    (own.path / "file").write_text("in use", encoding="utf-8")
    _, namespace, pid, started, _ = own.name.split("-")
    nobody = 2**22 + 1  # above the kernel's largest process id
    dead = {
        f"distillex-{namespace}-{nobody}-{started}-00000000",
        f"distillex-{namespace}-{pid}-{int(started) + 1}-00000000",  # an earlier process with this one's id
    }
    live = {
        f"distillex-{namespace}-{pid}-{started}-00000000",
        f"distillex-{int(namespace) + 1}-{nobody}-{started}-00000000",  # of a container whose processes are not seen
        "distillex-server-abc",
        f"other-{namespace}-{nobody}-{started}-00000000",
    }
    for name in dead | live:
        (temporary / name).mkdir()
        (temporary / name / "file").touch()
        (shared_memory / f"{name}-region").touch()

    remove_leftovers()

    assert {path.name for path in temporary.iterdir()} == live | {own.name}
    assert {path.name for path in shared_memory.iterdir()} == {f"{name}-region" for name in live}
    own.remove()
    assert not own.path.exists()


def test_a_workspace_goes_with_its_shared_memory(folders):
    _, shared_memory = folders
    one, other = Workspace(), Workspace()
    for each in (one, other):
        (shared_memory / f"{each.name}-region").touch()
    one.remove()
    assert [path.name for path in shared_memory.iterdir()] == [f"{other.name}-region"]


def test_a_process_outlives_the_thread_that_launched_it():
    launched = []
    thread = threading.Thread(target=lambda: launched.append(launch(["sleep", "60"])))
    thread.start()
    thread.join()
    process = launched[0]
    try:
        time.sleep(0.3)
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def test_a_launched_program_has_its_environment_and_the_most_files(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/ours")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for environment, libraries in (({"LD_LIBRARY_PATH": "/theirs", "A": "1"}, "/theirs"), ({"A": "1"}, "")):
        shown = launch(["/bin/sh", "-c", "echo $LD_LIBRARY_PATH,$A,$(ulimit -n)"], environment)
        assert shown.communicate()[0].strip() == f"{libraries},1,{min(hard, 65536)}"


def test_a_program_that_is_not_there_is_named():
    missing = launch(["/nowhere/program"])
    assert "/nowhere/program cannot be started: No such file or directory" in missing.communicate()[0]
    assert missing.returncode == 1


def test_launching_beside_a_busy_grpc_client_neither_crashes_nor_prints():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"127.0.0.1:{silent.getsockname()[1]}"
        done = threading.Event()

        def ask():
            with Extractor(url, timeout_s=0.01, retries=Retries(attempts=1)) as extractor:
                while not done.is_set():
                    extractor.is_ready()

        callers = [threading.Thread(target=ask) for _ in range(4)]
        for caller in callers:
            caller.start()
        try:
            for _ in range(50):
                launched = launch(["true"])
                assert launched.communicate()[0] == ""
                assert launched.returncode == 0
        finally:
            done.set()
            for caller in callers:
                caller.join()


def test_a_forked_process_can_launch_too():
    # The thread that launches is not there in a copy of this process.
    process = launch(["true"])
    process.communicate()
    copy = os.fork()
    if copy == 0:
        started = launch(["true"])
        started.communicate()
        os._exit(started.returncode)
    assert os.waitpid(copy, 0)[1] == 0


@pytest.mark.server
def test_a_server_killed_and_started_again_has_its_ports_again():
    if reason := why_no_server():
        pytest.skip(reason)
    server = EmbeddedServer(server_options())
    try:
        server.start()
        assert server.failure() is None
        urls = (server.grpc_url, server.http_url, server.metrics_url)
        os.kill(server.pid, signal.SIGKILL)
        while server.failure() is None:
            time.sleep(0.01)
        assert server.failure() == "tritonserver died (signal SIGKILL)"
        assert not server.is_ready()
        server.stop()
        server.start()
        assert (server.grpc_url, server.http_url, server.metrics_url) == urls
    finally:
        server.stop()


@pytest.mark.server
def test_a_server_one_of_whose_stubs_died_is_closed_at_once():
    if reason := why_no_server():
        pytest.skip(reason)
    with EmbeddedServer(server_options()) as server:
        stub = next(pid for pid, what in server.processes.items() if what == "extractor_0_0")
        os.kill(stub, signal.SIGKILL)
        while server.failure() is None:
            time.sleep(0.01)
        assert server.failure() == "a Python-backend stub died (extractor_0_0)"
        tritonserver = server._process
        server.stop()
        # Asked to stop, it would wait for the dead stub for seconds, and answer calls with errors.
        assert tritonserver.returncode == -signal.SIGKILL
        assert not server.is_ready()
