"""The load tools run, in their short forms, against the real server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request

import pytest
from distillex_serving.preconditions import free_port
from server_under_test import ROOT

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("needs_locust")]
LOCUST = [sys.executable, "-m", "locust", "-f", str(ROOT / "load_tests" / "locustfile.py")]


def run(*command, expect=0, timeout=120):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def tool(name, *arguments, expect=0):
    return run(sys.executable, str(ROOT / "load_tests" / name), *map(str, arguments), expect=expect)


def test_locust_runs_without_its_page(server):
    shares = json.dumps({"single": 0.4, "lexicon": 0.2, "batch": 0.2, "document": 0.2})
    output = run(*LOCUST, "--headless", "-u", "4", "-t", "5s", "--host", server.grpc_url, "--kinds", shares)
    for kind in ("single", "lexicon", "batch", "document"):
        assert re.search(rf"extractor +{kind} +[1-9]\d* +0\(0.00%\)", output), output


def test_failed_calls_make_locust_fail(nobody):
    output = run(*LOCUST, "--headless", "-u", "1", "--stage-seconds", "0.5", "--host", nobody, expect=1)
    assert "StatusCode.UNAVAILABLE" in output


def test_locust_s_page_answers(server):
    port = free_port()
    process = subprocess.Popen(
        [*LOCUST, "--web-host", "127.0.0.1", "--web-port", str(port), "--host", server.grpc_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        content = ""
        deadline = time.monotonic() + 30
        while not content and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    content = answer.read().decode()
            except OSError:
                time.sleep(0.1)
        assert "Locust" in content
        assert "ExtractorUser" in content
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def comparison(tiny_teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    stage = ("--users", 1, 4, "--rounds", 1, "--seconds", 1.5, "--settle", 0.2, "--min-latency-gain", 0.001)
    output = tool("compare.py", "--teacher", tiny_teacher, "--output", folder, *stage, "--min-speedup", 1e6, expect=1)
    return folder, output


def test_a_gain_below_the_bound_fails(comparison):
    assert re.search(r"FAILED throughput: [\d.]+ times \(at least 1e\+06\)", comparison[1])
    assert "ok     failed calls: 0" in comparison[1]


def test_the_comparison_is_reported_as_figures(comparison):
    figures = json.loads((comparison[0] / "compare.json").read_text(encoding="utf-8"))
    assert figures["errors"] == 0
    assert set(figures["medians"]) == {"student", "teacher"}
    for by_users in figures["medians"].values():
        assert set(by_users) == {"1", "4"}
        for of in by_users.values():
            assert 0 < of["p50_ms"] <= of["p95_ms"] <= of["p99_ms"]
            assert of["texts_per_s"] > 0
            assert of["server_cores"] > 0
    models = [time["model"] for time in figures["times"]["teacher"]["1"]]
    assert models == ["extractor_teacher"]
    assert figures["machine"]["cores"].isdigit()


def test_the_comparison_is_reported_as_a_page_of_its_own(comparison):
    content = (comparison[0] / "compare.html").read_text(encoding="utf-8")
    assert content.count('src="data:image/png;base64,') == 6
    assert "http" not in re.sub(r"base64,[^\"]*", "", content)


def test_a_soak_samples_every_process(server, tmp_path):
    arguments = ("--minutes", 0.05, "--calibration", 1.5, "--users", 2, "--interval", 0.2, "--max-growth-mib", 1000)
    output = tool("soak.py", *arguments, "--output", tmp_path)
    assert "ok     failed calls: 0 of" in output
    figures = json.loads((tmp_path / "soak.json").read_text(encoding="utf-8"))
    stubs = {name for name in figures["memory_mib"] if re.fullmatch(r"(extractor|lexicons)_0_\d", name)}
    assert {"extractor_0_0", "lexicons_0_0"} <= stubs
    assert figures["memory_mib"].keys() - stubs == {"tritonserver", "client", "shared memory"}
    assert all(min(of["mib"]) > 0 for of in figures["memory_mib"].values())
