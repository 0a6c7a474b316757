"""Servers and gates are replaced one after the other under load, by callers who try nothing again: no call fails."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter

import pytest

tritonclient = pytest.importorskip("tritonclient.grpc")
pytest.importorskip("psutil", reason="needs psutil: pip install 'distillex[load]'")
from distillex_serving.preconditions import free_port  # noqa: E402
from plain_triton import bytes_tensor, extract  # noqa: E402
from restarts import Served  # noqa: E402
from server_under_test import why_no_gate, why_no_server  # noqa: E402

pytestmark = [pytest.mark.server, pytest.mark.slow]
TEXT = "张三毕业于北京大学。"
LARGE = ["北京大学在上海。" * 30] * 32
PATIENCE_S = 300


@pytest.fixture(scope="module", autouse=True)
def _programs():
    if reason := why_no_server() or why_no_gate():
        pytest.skip(reason)


class GateProcess:
    """``distillex gate`` as a process, on ports that it has again when it is started again."""

    def __init__(self, upstream):
        self.port, self.status_port = free_port(), free_port()
        ports = ["--grpc-port", str(self.port), "--status-port", str(self.status_port)]
        self._command = [sys.executable, "-m", "distillex.command.main", "gate", "--upstream", upstream, *ports]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        printed = []
        for line in self.process.stdout:
            printed.append(line)
            if "ready: gRPC" in line:
                return
        raise AssertionError("".join(printed))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert "stopped" in self.process.communicate(timeout=60)[0]
        assert self.process.returncode == 0

    def statistic(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return sum(
            int(found) for found in re.findall(rf"^envoy_cluster_{name}\{{.*\"triton\w*\"\}} (\d+)$", text, re.M)
        )

    def wait_for_servers(self, number):
        deadline = time.monotonic() + PATIENCE_S
        # Two clusters, of small and of large calls.
        while self.statistic("membership_healthy") != 2 * number:
            assert time.monotonic() < deadline
            time.sleep(0.05)


class Load:
    """Callers who send the next call when they have an answer, and note what failed."""

    def __init__(self, url, callers):
        self.answered, self.failed = 0, Counter()
        self._url, self._stop, self._lock = url, threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(callers)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.wait_for_calls(20)
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_calls(self, more):
        wanted, deadline = self.answered + more, time.monotonic() + PATIENCE_S
        while self.answered < wanted and not self.failed:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _call(self, number):
        balanced = [("grpc.lb_policy_name", "round_robin")]
        texts, found = ([TEXT], "张三") if number else (LARGE, "北京大学")
        with tritonclient.InferenceServerClient(self._url, channel_args=balanced) as client:
            while not self._stop.is_set():
                try:
                    result = client.infer("extractor", [bytes_tensor("TEXT", texts)], client_timeout=PATIENCE_S)
                    assert found in result.as_numpy("ENTITIES")[-1][0].decode()
                    with self._lock:
                        self.answered += 1
                except Exception as error:
                    self.failed[f"caller {number}: {type(error).__name__}: {error}"] += 1


@pytest.fixture(scope="module")
def servers():
    """Two real servers at one port of two addresses."""
    port = str(free_port())
    with contextlib.ExitStack() as stack:
        options = [["--no-gate", "--grpc-port", port, "--host", host] for host in ("127.0.0.1", "127.0.0.2")]
        yield [stack.enter_context(Served([*each, "--start-timeout", str(PATIENCE_S)])) for each in options]


def test_servers_are_restarted_in_turn_and_no_call_fails(servers):
    gate = GateProcess(",".join(each.url for each in servers))
    try:
        gate.wait_for_servers(2)
        with Load(f"127.0.0.1:{gate.port}", 6) as load:
            for server in servers:
                server.end(signal.SIGTERM)
                load.wait_for_calls(20)
                assert gate.statistic("membership_healthy") == 2
                server.start()
                gate.wait_for_servers(2)
                load.wait_for_calls(20)
        assert load.failed == {}
        # Calls did come to a server that took no more.
        assert gate.statistic("upstream_rq_retry_success") > 0
    finally:
        gate.end()


def test_a_server_that_is_gone_takes_no_call_with_it(servers):
    """Its address still stands in the list, as after the end of a machine: calls go to the other one."""
    nobody = f"127.0.0.3:{servers[0].url.rpartition(':')[2]}"
    gate = GateProcess(f"{nobody},{servers[0].url}")
    try:
        with tritonclient.InferenceServerClient(f"127.0.0.1:{gate.port}") as client:
            gate.wait_for_servers(1)
            for _ in range(20):
                assert extract(client, [TEXT]).rows[0][0]["text"] == "张三"
    finally:
        gate.end()


def test_gates_are_restarted_in_turn_and_no_call_fails(servers):
    gates = [GateProcess(servers[0].url) for _ in range(2)]
    try:
        for gate in gates:
            gate.wait_for_servers(1)
        with Load("ipv4:" + ",".join(f"127.0.0.1:{gate.port}" for gate in gates), 4) as load:
            for gate in gates:
                gate.end()
                load.wait_for_calls(20)
                gate.start()
                gate.wait_for_servers(1)
                load.wait_for_calls(20)
        assert load.failed == {}
    finally:
        for gate in gates:
            gate.end()
