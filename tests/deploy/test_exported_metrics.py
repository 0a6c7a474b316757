"""Every metric that rules, dashboard and chart read is exported by a running server, or a running gate."""

from __future__ import annotations

import re
import urllib.request

import pytest

pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")
from distillex_client import Extractor
from distillex_serving.gate import Gate, GateOptions, Servers
from distillex_serving.preconditions import free_port
from monitoring import EXPORTED
from server_under_test import why_no_gate

pytestmark = pytest.mark.server


def listed(who):
    lines = EXPORTED.read_text(encoding="utf-8").splitlines()
    return {line.split()[1] for line in lines if line.startswith(f"{who} ")}


def exported(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return set(re.findall(r"^(\w+)[{ ]", answer.read().decode(), re.MULTILINE))


def test_servers_and_gates_export_the_metrics_that_are_read(server):
    if reason := why_no_gate():
        pytest.skip(reason)
    assert listed("server") <= exported(server.metrics_url)
    gate = Gate(GateOptions("127.0.0.1", 0, status_port=free_port()), upstream=Servers("127.0.0.1", server.grpc_port))
    try:
        gate.start()
        with Extractor(gate.grpc_url) as extractor:
            assert extractor.extract("张三毕业于北京大学。")
        assert listed("gate") <= exported(f"http://127.0.0.1:{gate.options.status_port}/metrics")
    finally:
        gate.close()
    assert listed("planned").isdisjoint(exported(server.metrics_url))
