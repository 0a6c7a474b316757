"""One gRPC connection to the shared server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from distillex_serving.embedded import EmbeddedServer
from server_under_test import ROOT

sys.path.insert(0, str(ROOT / "load_tests"))

if TYPE_CHECKING:
    import tritonclient.grpc


@pytest.fixture(scope="session")
def connection(server: EmbeddedServer) -> Iterator[tritonclient.grpc.InferenceServerClient]:
    import tritonclient.grpc

    client = tritonclient.grpc.InferenceServerClient(server.grpc_url)
    yield client
    client.close()
