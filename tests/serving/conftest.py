"""gRPC connections to the shared servers, ``distillex serve`` as a process, and load_tests on the path."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from distillex_serving.embedded import EmbeddedServer
from server_under_test import ROOT, why_no_server
from serving_process import Serving

if TYPE_CHECKING:
    import tritonclient.grpc

sys.path.insert(0, str(ROOT / "load_tests"))


@pytest.fixture(scope="session", params=["server", "ensemble"], ids=["fused", "ensemble"])
def served(request: pytest.FixtureRequest) -> EmbeddedServer:
    """Each of the two layouts in turn: the contract is the same."""
    running: EmbeddedServer = request.getfixturevalue(request.param)
    return running


@pytest.fixture(scope="session")
def connection(served: EmbeddedServer) -> Iterator[tritonclient.grpc.InferenceServerClient]:
    import tritonclient.grpc

    client = tritonclient.grpc.InferenceServerClient(served.grpc_url)
    yield client
    client.close()


@pytest.fixture
def serving() -> Iterator[Callable[..., Serving]]:
    """Start ``distillex serve`` with arguments; it ends with the test."""
    if reason := why_no_server():
        pytest.skip(reason)
    started: list[Serving] = []

    def start(*arguments: str) -> Serving:
        started.append(Serving(*arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.terminate()
        each.process.communicate(timeout=30)
