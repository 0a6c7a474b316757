"""Servers and gates are replaced one after the other under load, by callers who try nothing again: no call fails."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter

import pytest

tritonclient = pytest.importorskip("tritonclient.grpc")
pytest.importorskip("psutil", reason="needs psutil: pip install 'distillex[load]'")
from deployment import GateProcess, two_servers  # noqa: E402
from plain_triton import bytes_tensor  # noqa: E402
from server_under_test import why_no_gate, why_no_server  # noqa: E402

pytestmark = [pytest.mark.server, pytest.mark.slow]
TEXT = "张三毕业于北京大学。"
LARGE = ["北京大学在上海。" * 30] * 32
PATIENCE_S = 300


@pytest.fixture(scope="module", autouse=True)
def _programs():
    if reason := why_no_server() or why_no_gate():
        pytest.skip(reason)


@contextlib.contextmanager
def gate_before(*upstream):
    """A gate that is asked to end, and says with its exit code that it did as asked."""
    gate = GateProcess(upstream)
    try:
        yield gate
    finally:
        assert gate.end() == 0


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
        wanted = self.answered + more
        wait_until(lambda: self.answered >= wanted or self.failed)

    def _call(self, number):
        balanced = [("grpc.lb_policy_name", "round_robin"), ("grpc.max_reconnect_backoff_ms", 500)]
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
    with two_servers() as running:
        yield running


def test_servers_are_restarted_in_turn_and_no_call_fails(servers):
    with gate_before(*(each.url for each in servers)) as gate:
        gate.wait_for_servers(2)
        with Load(gate.url, 6) as load:
            for server in servers:
                server.end(signal.SIGTERM)
                load.wait_for_calls(20)
                assert gate.ready_servers() == 1
                server.start()
                gate.wait_for_servers(2)
                load.wait_for_calls(20)
        assert load.failed == {}
        # Calls did come to a server that took no more.
        assert gate.statistic("upstream_rq_retry_success") > 0


def test_gates_are_restarted_in_turn_and_no_call_fails(servers):
    with gate_before(servers[0].url) as first, gate_before(servers[0].url) as second:
        gates = (first, second)
        for gate in gates:
            gate.wait_for_servers(1)
        with Load("ipv4:" + ",".join(gate.url for gate in gates), 4) as load:
            for gate in gates:
                assert gate.end() == 0
                load.wait_for_calls(20)
                gate.start()
                gate.wait_for_servers(1)
                # The next one is not ended before its callers have found this one again.
                wait_until(lambda gate=gate: gate.statistic("upstream_rq_total") >= 20)
                load.wait_for_calls(20)
        assert load.failed == {}
