"""A client as of docs/how-to/client.md loses no call while parts of the server are killed, or while it restarts."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

pytest.importorskip("tritonclient.grpc")
pytest.importorskip("psutil", reason="needs psutil: pip install 'distillex[load]'")
from restarts import RESTART, SERVE, Served, run_case, wait_until_whole
from server_under_test import why_no_server

pytestmark = [pytest.mark.server, pytest.mark.slow]

CALLS, CALLERS = 500, 8


@pytest.fixture(scope="module")
def served():
    if reason := why_no_server():
        pytest.skip(reason)
    with Served([]) as running:
        yield running


@pytest.mark.parametrize("target", ["extractor_0_0", "tritonserver", RESTART, SERVE])
def test_no_call_is_lost(served, target):
    whole = set(served.processes())
    calls = run_case(served, target, CALLS, CALLERS)
    assert calls.lost == []
    assert len(calls.answered) == CALLS
    assert calls.outage_s() > 0.1, "nothing was interrupted"
    wait_until_whole(served, whole)


def test_a_batch_run_loses_nothing_and_makes_no_record_bad(served, tmp_path):
    whole = set(served.processes())
    lines = [f"第{number}位客人来自北京大学，{'张伟在上海工作' * (number % 7)}。" for number in range(12_000)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-c", "from distillex_client.cli import run; run()", "extract", "--url", served.url]
    command += ["in.jsonl", "--progress", "none", "-o"]
    with subprocess.Popen([*command, "out.jsonl"], cwd=tmp_path) as process:
        for target in ("extractor_0_0", "tritonserver"):
            wait_until_whole(served, whole)
            time.sleep(0.5)
            assert process.poll() is None, "done before anything was killed"
            served.kill(target)
        assert process.wait(300) == 0
    assert not (tmp_path / "out.jsonl.bad.jsonl").exists()
    assert subprocess.run([*command, "undisturbed.jsonl"], cwd=tmp_path).returncode == 0
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "undisturbed.jsonl").read_bytes()
