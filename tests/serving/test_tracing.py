"""OpenTelemetry end to end: spans of a client and of the server, received by a real OTLP receiver, are of one trace."""

from __future__ import annotations

import asyncio
import re

import pytest

pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")
from distillex_client import AsyncExtractor, Extractor
from distillex_serving.errors import PreconditionError
from distillex_serving.tracing import Tracing
from otlp_receiver import OtlpReceiver, why_no_receiver
from server_under_test import why_no_gate

pytestmark = pytest.mark.server

TEXT = "张三毕业于北京大学。"
CLIENT_SPAN, SERVER_SPAN = "inference.GRPCInferenceService/ModelInfer", "InferRequest"


@pytest.fixture
def receiver(monkeypatch):
    if reason := why_no_receiver():
        pytest.skip(reason)
    # Triton's exporter, and that of the SDK, would keep spans for five seconds.
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    with OtlpReceiver() as running:
        yield running


@pytest.fixture
def exporting(receiver, monkeypatch):
    """Let this process send its spans to the receiver, as a program that has set OpenTelemetry up."""
    trace = pytest.importorskip("opentelemetry.trace", reason="opentelemetry-api is not installed")
    exporters = pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.http.trace_exporter", reason="its OTLP exporter is not installed"
    )
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporters.OTLPSpanExporter(receiver.endpoint)))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield provider
    provider.shutdown()


def extract_with_both_clients(address):
    async def asynchronous():
        async with AsyncExtractor(address) as extractor:
            return await extractor.extract(TEXT)

    with Extractor(address) as extractor:
        assert extractor.extract(TEXT)
    assert asyncio.run(asynchronous())


def test_the_servers_spans_belong_to_the_clients_through_the_gate_too(receiver, serving, request):
    gate = ["--gate"] if why_no_gate() is None else []
    running = serving(*gate, "--trace-endpoint", receiver.endpoint.removesuffix("/v1/traces"), "--trace-every", "0")
    address = running.wait_for(r"gRPC ([\d.:]+)", timeout_s=120)[1]
    # Nobody traces these yet, and with 0 the server does not begin to either.
    extract_with_both_clients(address)
    request.getfixturevalue("exporting")
    extract_with_both_clients(address)
    servers = receiver.wait_for(SERVER_SPAN, 2)
    clients = {span.span_id: span for span in receiver.wait_for(CLIENT_SPAN, 2)}
    models = receiver.wait_for("extractor", 2)
    assert len(clients) == 2
    assert sorted(span.parent_id for span in servers) == sorted(clients)
    for span in servers:
        assert span.trace_id == clients[span.parent_id].trace_id
    # What the model took is below.
    assert sorted(span.parent_id for span in models) == sorted(span.span_id for span in servers)
    assert TEXT[:4] not in receiver.written


def test_a_server_that_traces_all_requests_begins_traces_of_its_own(receiver, serving):
    running = serving("--trace-endpoint", receiver.endpoint, "--trace-every", "1")
    with Extractor(running.wait_for(r"gRPC ([\d.:]+)", timeout_s=120)[1]) as extractor:
        assert extractor.extract(TEXT)
    assert re.fullmatch("0*", receiver.wait_for(SERVER_SPAN)[0].parent_id)


def test_a_receiver_that_is_away_hurts_no_request(serving, monkeypatch, nobody):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    running = serving("--trace-endpoint", f"http://{nobody}", "--trace-every", "1")
    with Extractor(running.wait_for(r"gRPC ([\d.:]+)", timeout_s=120)[1]) as extractor:
        assert len(extractor.extract_batch([TEXT] * 200)) == 200
    assert running.process.poll() is None


@pytest.mark.parametrize("endpoint", ["collector:4318", "grpc://collector:4317", "http://", "http://a b", "http://a:x"])
def test_an_endpoint_that_is_none_is_refused_by_name(endpoint):
    with pytest.raises(PreconditionError, match=re.escape(repr(endpoint))):
        Tracing(endpoint)


def test_the_command_refuses_it_before_it_starts_anything(serving):
    running = serving("--trace-endpoint", "collector:4318")
    assert running.wait_for(r"--trace-endpoint 'collector:4318'.*http://collector:4318/v1/traces")
    assert running.process.wait(30) == 2
