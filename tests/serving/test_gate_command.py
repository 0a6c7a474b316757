"""``distillex gate``: the gate as a process of its own, before servers that are found by a name."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

tritonclient = pytest.importorskip("tritonclient.grpc")
from distillex_serving.embedded import EmbeddedServer  # noqa: E402
from distillex_serving.errors import PreconditionError  # noqa: E402
from distillex_serving.gate import Servers  # noqa: E402
from distillex_serving.gate.configuration import GET_CONNECTIONS  # noqa: E402
from distillex_serving.gate.gate import find_envoy  # noqa: E402
from distillex_serving.gate_command import _servers  # noqa: E402
from distillex_serving.preconditions import free_port  # noqa: E402
from plain_triton import extract  # noqa: E402
from server_under_test import server_options, why_no_gate, why_no_server  # noqa: E402

pytestmark = pytest.mark.server
TEXT = "张三毕业于北京大学。"
COMMAND = [sys.executable, "-m", "distillex.command.main", "gate"]


@pytest.fixture(scope="module", autouse=True)
def _envoy():
    if reason := why_no_gate():
        pytest.skip(reason)


@pytest.fixture
def gate():
    """Start ``distillex gate`` with arguments; it ends with the test."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [*COMMAND, "--grpc-port", "0", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        for line in process.stdout:
            if found := re.search(r"ready: gRPC (\S+),", line):
                return process, found[1]
        raise AssertionError("it ended before it was ready")

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def is_ended(connection):
    connection.settimeout(0.05)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def answer_of(client):
    try:
        return extract(client, [TEXT])
    except tritonclient.InferenceServerException:
        return None


def fetch(url, data=None):
    try:
        with urllib.request.urlopen(url, data=data, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_servers_behind_a_name_are_called_as_soon_as_they_are_ready(gate, lexicon_directory):
    if reason := why_no_server():
        pytest.skip(reason)
    port, status = free_port(), free_port()
    process, url = gate("--upstream", f"localhost:{port}", "--status-port", str(status))
    with tritonclient.InferenceServerClient(url) as client:
        with pytest.raises(tritonclient.InferenceServerException, match="no healthy upstream"):
            extract(client, [TEXT])
        with EmbeddedServer(server_options(lexicon_directory, grpc_port=port)):
            deadline = time.monotonic() + 30
            while (answered := answer_of(client)) is None:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert answered.rows[0][0]["text"] == "张三"
            with pytest.raises(tritonclient.InferenceServerException, match="unknown model 'preprocess'"):
                client.is_model_ready("preprocess")
            live, ready = fetch(f"http://127.0.0.1:{status}/live")[0], fetch(f"http://127.0.0.1:{status}/ready")[0]
            metrics = fetch(f"http://127.0.0.1:{status}/metrics")[1]
    assert (live, ready) == (200, 200)
    assert re.search(r'envoy_http_downstream_rq_total\{envoy_http_conn_manager_prefix="grpc"\} [1-9]', metrics)
    # Envoy's administration stays closed: what ends or changes it is no GET of these three.
    assert fetch(f"http://127.0.0.1:{status}/quitquitquit", b"")[0] == 404
    assert fetch(f"http://127.0.0.1:{status}/config_dump")[0] == 404
    assert fetch(f"http://127.0.0.1:{status}/metrics", b"x")[0] == 404
    process.send_signal(signal.SIGTERM)
    assert "stopped" in process.communicate(timeout=30)[0]
    assert process.returncode == 0


def test_the_printed_configuration_is_one_that_envoy_takes_and_has_a_secret_of_its_own(tmp_path):
    arguments = ["--print", "--upstream", "server:8001", "--host", "127.0.0.1", "--status-port", "9901"]
    printed = [subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=True).stdout for _ in "ab"]
    (tmp_path / "envoy.json").write_text(printed[0], encoding="utf-8")
    command = [find_envoy(), "--mode", "validate", "--config-path", tmp_path / "envoy.json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    clusters = {each["name"]: each for each in json.loads(printed[0])["static_resources"]["clusters"]}
    [endpoint] = clusters["triton"]["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": "server", "port_value": 8001}
    assert printed[0] != printed[1]


@pytest.mark.parametrize(
    "upstream",
    [
        *("server", "server:", ":8001", "server:0", "server:65536", "server:８００１"),
        *("http://h:8001", " :8001", "h/x:1", "a:b:8001", "unix:", "unix: ", "::1:8001", "[server]:8001", "[::1:8001"),
        *("a:1,", ",a:1", "a:1,b", "a:1, b:2", "a:1,unix:/run/triton:1"),
        *("1.2.3.400:8001", "h h:8001", "-h:8001", "h..h:8001", "服务器:8001", "h\n:8001", "[]:8001"),
    ],
)
def test_servers_without_a_name_or_a_port_are_refused(upstream):
    with pytest.raises(PreconditionError) as caught:
        _servers(upstream)
    assert str(caught.value).startswith(f"--upstream {upstream!r}: HOST:PORT or unix:PATH is accepted, HOST being")


def test_the_command_names_an_upstream_that_it_refuses():
    done = subprocess.run([*COMMAND, "--upstream", "http://h:8001"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--upstream 'http://h:8001': HOST:PORT or unix:PATH is accepted" in done.stderr


@pytest.mark.parametrize(
    ("upstream", "servers"),
    [
        ("server:8001", Servers("server", 8001)),
        ("x-server.prod.svc:8001", Servers("x-server.prod.svc", 8001)),
        ("my_server.:1", Servers("my_server.", 1)),
        ("127.0.0.1:65535", Servers("127.0.0.1", 65535)),
        ("[::1]:8001", Servers("::1", 8001)),
        ("a:1,[::1]:2,c.d:3", Servers("a", 1, (("::1", 2), ("c.d", 3)))),
        ("unix:/run/triton:1", Path("/run/triton:1")),
    ],
)
def test_names_addresses_and_sockets_are_accepted(upstream, servers):
    assert _servers(upstream) == servers


def test_a_socket_whose_path_is_too_long_is_named_and_the_temporary_folder_is_not_blamed(tmp_path):
    path = f"/run/{'long' * 30}/triton"
    done = subprocess.run([*COMMAND, "--upstream", f"unix:{path}"], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{path}: its {len(path)} bytes are too many for a Unix socket (107 at most)" in done.stderr
    assert "TMPDIR" not in done.stderr
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run([*COMMAND, "--upstream", "s:1"], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert re.search(rf"{folder}/\S+: its \d+ bytes are too many .*; set TMPDIR to a shorter one", done.stderr)


def test_callers_who_hold_all_connections_do_not_make_the_probes_fail_nor_probes_the_callers(gate):
    status = free_port()
    _, url = gate("--upstream", "unix:/nowhere", "--status-port", str(status), "--max-connections", "2")
    address = ("127.0.0.1", int(url.rpartition(":")[2]))
    with contextlib.ExitStack() as held:
        for _ in range(3):
            held.enter_context(socket.create_connection(address, timeout=5))
        assert fetch(f"http://127.0.0.1:{status}/live")[0] == 200
        assert fetch(f"http://127.0.0.1:{status}/ready")[0] == 200
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.create_connection(("127.0.0.1", status), timeout=5)) for _ in range(80)]
        refused = pytest.raises(tritonclient.InferenceServerException, match="upstream connect error")
        with tritonclient.InferenceServerClient(url) as client, refused:
            client.is_server_live()
        # What the two probes above held may not be free yet.
        assert 80 - GET_CONNECTIONS <= sum(map(is_ended, probes)) <= 82 - GET_CONNECTIONS


def test_a_status_port_that_is_the_port_of_grpc_is_refused():
    done = subprocess.run(
        [*COMMAND, "--upstream", "s:1", "--grpc-port", "7001", "--status-port", "7001"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--grpc-port and --status-port are both 7001" in done.stderr
