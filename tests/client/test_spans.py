"""A span around each request, where the caller has set OpenTelemetry up; both twins are held to the same."""

from __future__ import annotations

import asyncio

import grpc
import pytest

pytest.importorskip("tritonclient.grpc")
pytest.importorskip("opentelemetry.trace", reason="opentelemetry-api is not installed")
pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed")
from distillex_client import AsyncExtractor, Extractor, InvalidRequest, Retries
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from recording_server import RecordingServer

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SETTINGS = {"batch_size": 2, "retries": Retries(attempts=3, first_delay_s=0.001)}


@pytest.fixture
def recorder():
    with RecordingServer() as server:
        yield server


@pytest.fixture
def exporter(monkeypatch):
    provider = TracerProvider()
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


@pytest.fixture(params=["sync", "async"])
def call(request, recorder):
    def synchronous(method, *arguments, **optional):
        with Extractor(recorder.url, **SETTINGS) as extractor:
            return getattr(extractor, method)(*arguments, **optional)

    async def asynchronous(method, *arguments, **optional):
        async with AsyncExtractor(recorder.url, **SETTINGS) as extractor:
            return await getattr(extractor, method)(*arguments, **optional)

    def run(method, *arguments, **optional):
        if request.param == "sync":
            return synchronous(method, *arguments, **optional)
        return asyncio.run(asynchronous(method, *arguments, **optional))

    return run


def identity_of(context):
    return f"{context.trace_id:032x}-{context.span_id:016x}"


def parent_of(received):
    """What the server is told, without version and flags."""
    return received.headers["traceparent"][3:-3]


def test_each_request_has_a_span_below_the_callers_whose_context_the_server_gets(call, recorder, exporter):
    with trace.get_tracer("test").start_as_current_span("caller") as caller:
        call("extract_batch", ["甲"] * 3, request_id="order-7")
    spans = [span for span in exporter.get_finished_spans() if span.name != "caller"]
    assert len(spans) == len(recorder.received) == 2
    assert {span.parent.span_id for span in spans} == {caller.get_span_context().span_id}
    assert {parent_of(received) for received in recorder.received} == {identity_of(span.context) for span in spans}
    for span in spans:
        assert span.kind is trace.SpanKind.CLIENT
        assert span.status.is_unset
        host, _, port = recorder.url.rpartition(":")
        assert (span.attributes["server.address"], span.attributes["server.port"]) == (host, int(port))
    told = sorted((span.attributes["distillex.request_id"], span.attributes["distillex.texts"]) for span in spans)
    assert told == [("order-7", 2), ("order-7-1", 1)]


def test_a_trace_that_is_given_goes_before_the_current_span(call, recorder, exporter):
    with trace.get_tracer("test").start_as_current_span("caller"):
        call("extract", "甲", traceparent=TRACEPARENT)
    [span] = [span for span in exporter.get_finished_spans() if span.name != "caller"]
    assert identity_of(span.parent) == TRACEPARENT[3:-3]
    [received] = recorder.received
    assert parent_of(received) == identity_of(span.context)


def test_attempts_of_one_request_share_its_span_and_a_refusal_is_told_without_its_words(call, recorder, exporter):
    recorder.failures.append(grpc.StatusCode.UNAVAILABLE)
    call("extract", "甲")
    [span] = exporter.get_finished_spans()
    assert span.status.is_unset
    assert len({received.headers["traceparent"] for received in recorder.received}) == 1
    exporter.clear()
    recorder.failures.append((grpc.StatusCode.INVALID_ARGUMENT, "LEXICON: 青石云科 is wrong"))
    with pytest.raises(InvalidRequest, match="青石云科"):
        call("extract", "青石云科")
    [span] = exporter.get_finished_spans()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.attributes["error.type"] == "InvalidRequest"
    told = [*span.attributes.values(), span.status.description, *span.events]
    assert not any("青石云科" in str(value) for value in told)
