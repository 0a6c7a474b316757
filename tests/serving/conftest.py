"""One gRPC connection to the shared server, and the load tests' modules on the path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from distillex_serving.embedded import EmbeddedServer
from server_under_test import ROOT

if TYPE_CHECKING:
    import tritonclient.grpc

sys.path.insert(0, str(ROOT / "load_tests"))


@pytest.fixture(scope="session")
def connection(server: EmbeddedServer) -> Iterator[tritonclient.grpc.InferenceServerClient]:
    import tritonclient.grpc

    client = tritonclient.grpc.InferenceServerClient(server.grpc_url)
    yield client
    client.close()
