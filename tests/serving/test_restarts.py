"""A client that follows docs/client.md loses no call while parts of the server are killed, or while it is restarted."""

from __future__ import annotations

import pytest

pytest.importorskip("tritonclient.grpc")
pytest.importorskip("psutil", reason="needs psutil: pip install 'distillex[load]'")
from restarts import RESTART, SERVE, Served, run_case, wait_until_whole
from server_under_test import REPOSITORY, why_no_server

pytestmark = [pytest.mark.server, pytest.mark.slow]

CALLS, CALLERS = 500, 8


@pytest.fixture(scope="module")
def served():
    if reason := why_no_server():
        pytest.skip(reason)
    with Served(["--repository", str(REPOSITORY)]) as running:
        yield running


@pytest.mark.parametrize("target", ["preprocess_0_0", "student_0_0", "decode_0_0", "tritonserver", RESTART, SERVE])
def test_no_call_is_lost(served, target):
    whole = set(served.processes())
    calls = run_case(served, target, CALLS, CALLERS)
    assert calls.lost == []
    assert len(calls.answered) == CALLS
    assert calls.outage_s() > 0.1, "nothing was interrupted"
    wait_until_whole(served, whole)
