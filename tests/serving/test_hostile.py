"""The list of hostile requests and mutations, through the gate: shortly here, for long by ``make attack``."""

from __future__ import annotations

import pytest

pytest.importorskip("tritonclient.grpc")
pytest.importorskip("psutil", reason="needs psutil: pip install 'distillex[load]'")
pytest.importorskip("h2", reason="needs h2, whose frames no gRPC library would send: pip install 'distillex[dev]'")
from distillex_serving.repository import Layout
from server_under_test import why_no_gate, why_no_server

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.mark.parametrize("layout", [Layout.FUSED, Layout.ENSEMBLE])
def test_no_request_ends_the_server_and_good_ones_are_answered_between_the_bad(layout):
    if reason := why_no_server() or why_no_gate():
        pytest.skip(reason)
    from attack import attack, target

    with target(layout) as aim:
        report = attack(aim, requests=2000, rounds=1, large=60, uploads=5, seed=1, most_growth_mib=400)
    assert report.problems == [], report.describe()
    assert report.reached >= 2000
    assert report.good > 300
    assert report.statuses["INVALID_ARGUMENT"] > 500
    assert report.statuses["OK"] > 300
