"""Health, metadata, metrics, and the APIs and addresses that the server keeps closed."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request

import pytest

tritonclient = pytest.importorskip("tritonclient.grpc")
from distillex_serving.repository import CONFIGURATIONS  # noqa: E402

pytestmark = pytest.mark.server


def get(url):
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.status, response.read().decode()


def test_health_answers_on_http_and_grpc(served, connection):
    assert get(f"{served.http_url}/v2/health/ready")[0] == 200
    assert get(f"{served.http_url}/v2/health/live")[0] == 200
    assert connection.is_server_ready()
    assert connection.is_model_ready("extractor")


def test_metadata_names_the_inputs_and_outputs_of_the_contract(served):
    _, body = get(f"{served.http_url}/v2/models/extractor")
    metadata = json.loads(body)
    assert {tensor["name"] for tensor in metadata["inputs"]} == {"TEXT", "LEXICON", "LEXICON_NAME", "TRUST"}
    assert {tensor["name"] for tensor in metadata["outputs"]} == {"ENTITIES", "LEXICON_VERSION"}
    assert {tensor["datatype"] for tensor in metadata["inputs"] + metadata["outputs"]} == {"BYTES"}


def test_metrics_count_the_requests_of_each_model(served, connection):
    from plain_triton import extract

    extract(connection, ["张三在北京大学读书"])
    _, body = get(served.metrics_url)
    for model in CONFIGURATIONS[served.options.layout]:
        assert f'nv_inference_request_success{{model="{model}"' in body


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v2/repository/index", "POST"),
        ("/v2/repository/models/extractor/unload", "POST"),
        ("/v2/systemsharedmemory/status", "GET"),
        ("/v2/trace/setting", "GET"),
        ("/v2/logging", "GET"),
    ],
)
def test_administrative_http_apis_are_closed(server, path, method):
    request = urllib.request.Request(server.http_url + path, method=method, data=b"{}" if method == "POST" else None)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    refused.value.close()
    assert refused.value.code == 403


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get_model_repository_index(),
        lambda client: client.unload_model("extractor"),
        lambda client: client.get_system_shared_memory_status(),
        lambda client: client.register_system_shared_memory("region", "/region", 64),
        lambda client: client.get_trace_settings(),
        lambda client: client.update_log_settings({"log_verbose_level": 1}),
    ],
    ids=["index", "unload", "shm status", "shm register", "trace", "log"],
)
def test_administrative_grpc_apis_are_closed(connection, call):
    with pytest.raises(tritonclient.InferenceServerException) as refused:
        call(connection)
    assert refused.value.status() == "StatusCode.UNAVAILABLE"


def test_all_ports_are_bound_to_the_loopback_address_alone(server):
    host = socket.gethostbyname(socket.gethostname())
    if host.startswith("127."):
        pytest.skip("this machine has no address but the loopback one")
    for port in (server.grpc_port, server.http_port, server.metrics_port):
        with socket.socket() as probe:
            assert probe.connect_ex((host, port)) != 0
