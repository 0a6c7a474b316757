"""Every metric that rules, dashboard and chart read is exported by a running server, or a running gate."""

from __future__ import annotations

import re
import urllib.request

import pytest

pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")
from distillex_client import Extractor, InvalidText
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.gate import Gate, GateOptions, Servers
from distillex_serving.preconditions import free_port
from distillex_serving.repository import Layout
from monitoring import EXPORTED
from server_under_test import server_options, why_no_gate, why_no_server

pytestmark = pytest.mark.server


def listed(who):
    lines = EXPORTED.read_text(encoding="utf-8").splitlines()
    return {line.split()[1] for line in lines if line.startswith(f"{who} ")}


def exported(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return set(re.findall(r"^(\w+)[{ ]", answer.read().decode(), re.MULTILINE))


def durations(url, kind):
    pattern = rf'nv_inference_{kind}_duration_us{{model="(\w+)",version="1"}} (\d+)'
    with urllib.request.urlopen(url, timeout=10) as answer:
        return {model: int(value) for model, value in re.findall(pattern, answer.read().decode())}


def test_servers_and_gates_export_the_metrics_that_are_read(server):
    if reason := why_no_gate():
        pytest.skip(reason)
    assert listed("server") <= exported(server.metrics_url)
    gate = Gate(GateOptions("127.0.0.1", 0, status_port=free_port()), upstream=Servers("127.0.0.1", server.grpc_port))
    try:
        gate.start()
        with Extractor(gate.grpc_url) as extractor:
            assert extractor.extract("张三毕业于北京大学。")
            with pytest.raises(InvalidText):
                extractor.extract("")
        assert listed("gate") <= exported(f"http://127.0.0.1:{gate.options.status_port}/metrics")
    finally:
        gate.close()


def test_of_an_ensemble_the_models_wait_and_the_extractor_counts_what_they_compute(lexicon_directory):
    """What the selectors of rules, dashboard and KEDA's query rest on."""
    if reason := why_no_server():
        pytest.skip(reason)
    with EmbeddedServer(server_options(lexicon_directory, layout=Layout.ENSEMBLE)) as server:
        with Extractor(f"127.0.0.1:{server.grpc_port}") as extractor:
            for _ in range(5):
                assert extractor.extract("张三毕业于北京大学。")
        queue, compute = (durations(server.metrics_url, kind) for kind in ("queue", "compute_infer"))
    parts = compute.keys() - {"extractor", "lexicons"}
    assert parts == {"preprocess", "student", "decode"}
    # Whole microseconds.
    assert compute["extractor"] == pytest.approx(sum(compute[part] for part in parts), abs=20)
    assert queue["extractor"] < sum(queue[part] for part in parts)
