"""What the clients send, how often, and how long they wait; both twins are held to the same."""

from __future__ import annotations

import asyncio
import inspect
import random
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

pytest.importorskip("tritonclient.grpc")
import grpc
from distillex_client import (
    AsyncExtractor,
    DeadlineExceeded,
    Extractor,
    ModelNotFound,
    Retries,
    ServerError,
    ServerUnavailable,
)
from distillex_serving.preconditions import free_port
from recording_server import RecordingServer

UNAVAILABLE, EXHAUSTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED
SOON = Retries(attempts=4, first_delay_s=0.001)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def recorder():
    with RecordingServer() as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def call(request, recorder):
    """Call a method of a client of the kind, made with ``settings``; streams come back as lists."""

    def call_sync(method, *arguments, settings=None, **options):
        with Extractor(recorder.url, **(settings or {})) as extractor:
            result = getattr(extractor, method)(*arguments, **options)
            return list(result) if inspect.isgenerator(result) else result

    async def call_async(method, *arguments, settings=None, **options):
        async with AsyncExtractor(recorder.url, **(settings or {})) as extractor:
            result = getattr(extractor, method)(*arguments, **options)
            return [item async for item in result] if inspect.isasyncgen(result) else await result

    if request.param == "sync":
        return call_sync
    return lambda *arguments, **options: asyncio.run(call_async(*arguments, **options))


def test_the_twins_have_the_same_methods_and_parameters():
    def surface(kind):
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert surface(Extractor) == surface(AsyncExtractor)
    assert inspect.signature(Extractor) == inspect.signature(AsyncExtractor)


def test_unavailable_and_resource_exhausted_are_tried_again(call, recorder):
    recorder.failures.extend([UNAVAILABLE, EXHAUSTED, UNAVAILABLE])
    assert call("extract", "甲", settings={"retries": SOON}) == []
    assert len(recorder.received) == 4
    assert len({received.id for received in recorder.received}) == 1


def test_after_the_last_attempt_the_error_tells_their_number_and_keeps_its_cause(call, recorder):
    recorder.failures.extend([UNAVAILABLE] * 9)
    with pytest.raises(ServerUnavailable, match=r"failed as told: UNAVAILABLE \(4 attempts\)") as raised:
        call("extract", "甲", settings={"retries": SOON})
    assert len(recorder.received) == 4
    assert raised.value.__cause__.status() == "StatusCode.UNAVAILABLE"
    assert raised.value.request_id == recorder.received[0].id


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (grpc.StatusCode.INTERNAL, ServerError),
        (grpc.StatusCode.NOT_FOUND, ModelNotFound),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
    ],
)
def test_nothing_else_is_tried_again(call, recorder, status, error):
    recorder.failures.append(status)
    with pytest.raises(error, match=status.name):
        call("extract", "甲", settings={"retries": SOON})
    assert len(recorder.received) == 1


STUB_DIED = (grpc.StatusCode.INTERNAL, "in ensemble 'extractor', Stub process 'decode_0_0' is not healthy.")
STOPPING = (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'extractor' has no available versions")
UNKNOWN_MODEL = (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'extractor' is not found")


def test_what_triton_says_around_a_restart_is_tried_again(call, recorder):
    reset = (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2")
    interrupted = (grpc.StatusCode.UNKNOWN, "Stream removed")
    recorder.failures.extend([STUB_DIED, reset, interrupted])
    assert call("extract", "甲", settings={"retries": SOON}) == []
    assert len(recorder.received) == 4


@pytest.mark.parametrize("failure", [STOPPING, UNKNOWN_MODEL])
def test_a_model_not_found_on_a_server_that_is_not_ready_is_a_server_unavailable(call, recorder, failure):
    recorder.ready = False
    recorder.failures.extend([failure] * 3)
    assert call("extract", "甲", settings={"retries": SOON}) == []
    assert len(recorder.received) == 4
    recorder.failures.extend([failure] * 9)
    with pytest.raises(ServerUnavailable, match=r"the server stops or starts: .*unknown model.*4 attempts") as raised:
        call("extract", "甲", settings={"retries": SOON})
    assert raised.value.__cause__.status() == "StatusCode.NOT_FOUND"


def test_a_model_that_a_ready_server_does_not_serve_now_is_asked_for_a_while(call, recorder, monkeypatch):
    # Behind a balancer the answer was of a server that stops, the readiness of another one.
    recorder.failures.extend([STOPPING] * 3)
    assert call("extract", "甲", settings={"retries": SOON}) == []
    monkeypatch.setattr("distillex_client.attempts.NOT_SERVED_FOR_S", 0.05)
    recorder.failures.extend([STOPPING] * 1000)
    patient = Retries(attempts=1000, first_delay_s=0.01, longest_delay_s=0.01)
    with pytest.raises(ModelNotFound, match="no available versions"):
        call("extract", "甲", settings={"retries": patient})
    assert 2 < len(recorder.received) < 1000


def test_a_model_that_a_ready_server_does_not_have_is_not_asked_for_again(call, recorder):
    recorder.failures.append(UNKNOWN_MODEL)
    with pytest.raises(ModelNotFound):
        call("extract", "甲", settings={"retries": SOON})
    assert len(recorder.received) == 1


def test_without_retries_a_server_that_stops_is_unavailable_at_once(call, recorder):
    recorder.ready = False
    recorder.failures.append(STOPPING)
    with pytest.raises(ServerUnavailable):
        call("extract", "甲", settings={"retries": Retries(attempts=1)})
    assert len(recorder.received) == 1


def test_the_default_patience_outlasts_a_restart():
    class Least:
        def uniform(self, low, high):
            return low

    waits = [Retries().delay_s(attempt, Least()) for attempt in range(1, Retries().attempts)]
    assert sum(waits) > 6
    assert max(waits) <= 1  # a server that is back is noticed soon


def test_retries_end_with_the_deadline_of_the_request(call, recorder):
    recorder.failures.extend([UNAVAILABLE] * 100)
    patient = Retries(attempts=100, first_delay_s=0.05, longest_delay_s=0.05)
    with pytest.raises(ServerUnavailable):
        call("extract", "甲", settings={"retries": patient, "timeout_s": 0.4})
    left = [received.seconds_left for received in recorder.received]
    assert 2 <= len(left) < 20
    assert left[0] <= 0.41  # gRPC rounds deadlines up
    assert left == sorted(left, reverse=True)


@pytest.mark.parametrize("kind", [Extractor, AsyncExtractor])
def test_a_server_that_comes_back_is_found_again(kind):
    port = free_port()
    patient = Retries(attempts=1000, first_delay_s=0.02, longest_delay_s=0.02)
    extractor = kind(f"127.0.0.1:{port}", retries=patient, timeout_s=20)

    async def extract_and_close():
        found = await extractor.extract("甲")
        await extractor.close()
        return found

    for _ in range(2):
        call = extractor.extract if kind is Extractor else lambda *_: asyncio.run(extract_and_close())
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(call, "甲")
            assert not wait([answer], timeout=0.3).done
            with RecordingServer(port=port):
                assert answer.result(timeout=15) == []
    if kind is Extractor:
        extractor.close()


def test_a_server_that_does_not_answer_is_given_up_at_the_deadline_of_the_call(call, recorder):
    recorder.gate.clear()
    for method, texts in (("extract", "甲"), ("extract_batch", ["甲"] * 9), ("extract_document", "甲。" * 9)):
        with pytest.raises(DeadlineExceeded):
            call(method, texts, timeout_s=0.2)


def test_headers_are_sent_with_every_request(call, recorder):
    metadata = {"Authorization": "Bearer abc", "x-customer": "7"}
    call("extract_batch", ["甲"] * 3, settings={"metadata": metadata, "batch_size": 1})
    assert len(recorder.received) == 3
    for received in recorder.received:
        assert received.headers["authorization"] == "Bearer abc"
        assert received.headers["x-customer"] == "7"


def test_a_function_is_asked_for_headers_at_each_attempt(call, recorder):
    tokens = iter("abc")
    recorder.failures.extend([UNAVAILABLE] * 2)
    call("extract", "甲", settings={"metadata": lambda: {"authorization": next(tokens)}, "retries": SOON})
    assert [received.headers["authorization"] for received in recorder.received] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["x customer", "x-data-bin", "x-ключ", ""])
def test_a_header_that_cannot_be_sent_is_named(name):
    with pytest.raises(ValueError, match=f"metadata '{name}': a name has letters"):
        Extractor(metadata={name: "value"})


@pytest.mark.parametrize("value", ["Bearer abc\n", "名"])
def test_a_headers_bad_value_is_not_told(value):
    with pytest.raises(ValueError, match="metadata 'authorization'") as raised:
        Extractor(metadata={"authorization": value})
    assert value.strip() not in str(raised.value)


def test_model_and_version_are_asked_for(call, recorder):
    call("extract", "甲", settings={"model": "extractor_teacher", "model_version": "3"})
    assert recorder.received[0].model == ("extractor_teacher", "3")


def test_request_ids_are_given_or_made_and_numbered_over_the_requests_of_a_call(call, recorder):
    call("extract", "甲", request_id="order-7")
    found = call("extract_stream", ["甲"] * 3, request_id="job", settings={"batch_size": 1, "concurrency": 1})
    assert [received.id for received in recorder.received] == ["order-7", "job", "job-1", "job-2"]
    assert [extraction.request_id for extraction in found] == ["job", "job-1", "job-2"]
    made = {call("extract_stream", ["甲"])[0].request_id for _ in range(3)}
    assert len(made) == 3
    assert all(len(identifier) == 32 for identifier in made)


def test_the_callers_trace_context_is_passed_on(call, recorder):
    call("extract", "甲", traceparent=TRACEPARENT)
    call("extract_document", "甲。乙。", traceparent=TRACEPARENT)
    call("extract", "甲", traceparent="not a trace")
    call("extract", "甲")
    assert [received.headers.get("traceparent") for received in recorder.received] == [TRACEPARENT] * 2 + [None] * 2


def test_opentelemetrys_current_span_is_passed_on(call, recorder):
    trace = pytest.importorskip("opentelemetry.trace", reason="opentelemetry-api is not installed")
    context = trace.SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        call("extract_batch", ["甲"] * 2, settings={"batch_size": 1})
    expected = f"00-{0xABC:032x}-{0xDEF:016x}-01"
    assert [received.headers["traceparent"] for received in recorder.received] == [expected] * 2


def test_batches_are_no_larger_than_asked_for_and_than_the_server_takes(call, recorder):
    recorder.max_batch_size = 8
    for asked, sent in ((100, [2, 8, 8]), (5, [3, 5, 5, 5])):
        recorder.received.clear()
        call("extract_batch", ["甲"] * 18, settings={"batch_size": asked})
        assert sorted(received.rows for received in recorder.received) == sent


def test_no_more_requests_are_in_flight_than_allowed(call, recorder):
    call("extract_batch", ["甲"] * 60, settings={"batch_size": 1, "concurrency": 3})
    assert recorder.most_at_once <= 3
    assert len(recorder.received) == 60


def test_one_text_where_several_are_taken_and_a_number_as_text_are_refused(call):
    with pytest.raises(TypeError, match="texts is one str; give a list of texts, or call extract"):
        call("extract_batch", "甲乙")
    with pytest.raises(TypeError, match="text 7 is int; str or UTF-8 bytes are accepted"):
        call("extract", 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "http://127.0.0.1:8001"}, "url 'http://127.0.0.1:8001' is not HOST:PORT"),
        ({"url": "127.0.0.1"}, "url '127.0.0.1' is not HOST:PORT"),
        ({"url": "127.0.0.1:80010"}, "is not HOST:PORT"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"concurrency": 0}, "concurrency 0"),
        ({"timeout_s": 0}, "timeout_s 0"),
        ({"compression": "zip"}, "compression 'zip' is not 'gzip', 'deflate' or None"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(settings, message):
    for kind in (Extractor, AsyncExtractor):
        with pytest.raises(ValueError, match=message):
            kind(**settings)


@pytest.mark.parametrize("url", ["localhost:8001", "[::1]:8001", "dns:///triton.example:8001", "unix:/run/triton"])
def test_addresses_of_every_kind_are_taken(url):
    assert Extractor(url).url == url


def test_backoff_grows_with_jitter_up_to_its_limit():
    retries = Retries(first_delay_s=1.0, longest_delay_s=5.0)
    generator = random.Random(1)
    for attempt, ceiling in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (9, 5.0), (5000, 5.0)):
        delays = [retries.delay_s(attempt, generator) for _ in range(100)]
        assert ceiling / 2 <= min(delays) < max(delays) <= ceiling
