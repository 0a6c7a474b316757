"""Which servers a gate calls, and which calls it sends to another one: those that the first has not begun."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

tritonclient = pytest.importorskip("tritonclient.grpc")
pytest.importorskip("psutil", reason="needs psutil: pip install 'distillex[load]'")
import grpc  # noqa: E402
from deployment import GateProcess  # noqa: E402
from distillex_serving.preconditions import free_port  # noqa: E402
from plain_triton import bytes_tensor  # noqa: E402
from server_under_test import why_no_gate  # noqa: E402

pytestmark = pytest.mark.server
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
PATIENCE_S = 60.0
SMALL = [bytes_tensor("TEXT", ["复旦大学"])]
LARGE = [bytes_tensor("TEXT", ["复旦大学"] * 64), bytes_tensor("LEXICON", ["x" * 60_000] * 64)]

SCHEDULER_STOPS = "Server is stopping, scheduler for model has stopped accepting new inference requests"


class StandIn(grpc.GenericRpcHandler):
    """A server that is healthy, and answers calls of models with an empty answer, or as it is told."""

    def __init__(self):
        self.calls, self._lock = 0, threading.Lock()
        self.refusal, self.health = None, SERVING
        self.url, self._server = f"127.0.0.1:{free_port()}", None
        self.start()

    def start(self):
        """Take calls again, if it was stopped."""
        if self._server is None:
            self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", -1)])
            self._server.add_generic_rpc_handlers((self,))
            self._server.add_insecure_port(self.url)
            self._server.start()

    def service(self, details):
        answer = self._say_how_it_is if details.method.startswith("/grpc.health") else self._answer
        return grpc.unary_unary_rpc_method_handler(lambda _, context: answer(context))

    def _say_how_it_is(self, context):
        if self.health is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "Server exiting")
        return self.health

    def _answer(self, context):
        with self._lock:
            self.calls += 1
        if self.refusal is not None:
            context.abort(*self.refusal)
        return b""

    def stop(self):
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None


@pytest.fixture(scope="module")
def running():
    """A gate and the two stand-ins behind it."""
    if reason := why_no_gate():
        pytest.skip(reason)
    started = [StandIn(), StandIn()]
    front = GateProcess([each.url for each in started])
    yield front, started
    front.end()
    for each in started:
        each.stop()


@pytest.fixture
def undisturbed(running):
    """Carry a check out on a gate that calls both servers.

    Where it fails and the gate meanwhile found a server away that was not, it is carried out again: where a machine
    stands still for some seconds, health checks run out of time, and calls go elsewhere than the test means.
    """
    gate, servers = running

    def run(check):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            settle(gate, servers)
            before = gate.statistic("health_check_network_failure")
            try:
                return check(gate, servers)
            except (AssertionError, TimeoutError):
                late = time.monotonic() > deadline
                if late or gate.statistic("health_check_network_failure") == before:
                    raise

    return run


def settle(gate, servers):
    """Wait until the gate calls both servers, whatever went before."""
    deadline = time.monotonic() + PATIENCE_S
    for each in servers:
        each.refusal, each.health = None, SERVING
        each.start()
    while True:
        gate.wait_for_servers(2, PATIENCE_S)
        try:
            until_calls_are(gate, servers, lambda calls: min(calls) > 0)
            break
        except AssertionError:
            if time.monotonic() > deadline:
                raise
    for each in servers:
        each.calls = 0


def until_calls_are(gate, servers, as_wanted):
    """Send calls, none of which fails, until large ones and small ones go where they should.

    Envoy counts servers before its workers call them, and has a list of them for each of the two sizes.
    """
    deadline = time.monotonic() + PATIENCE_S
    for tensors in (LARGE, SMALL):
        while True:
            for each in servers:
                each.calls = 0
            assert failures_of(gate, [tensors] * 8) == []
            calls = [each.calls for each in servers]
            if as_wanted(calls):
                break
            assert time.monotonic() < deadline, calls


def failures_of(gate, calls):
    found = []
    with tritonclient.InferenceServerClient(gate.url) as client:
        for tensors in calls:
            try:
                client.infer("extractor", tensors, client_timeout=60)
            except tritonclient.InferenceServerException as error:
                found.append(error.status())
    return found


@pytest.mark.parametrize(
    "refusal",
    [
        (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'extractor' has no available versions"),
        (grpc.StatusCode.UNAVAILABLE, "Server exiting"),
        (grpc.StatusCode.UNAVAILABLE, SCHEDULER_STOPS),
        (grpc.StatusCode.UNAVAILABLE, f"[request id: a'b] {SCHEDULER_STOPS}"),
        (grpc.StatusCode.UNAVAILABLE, f"[request id: 7] in ensemble 'extractor', [request id: 7] {SCHEDULER_STOPS}"),
    ],
)
def test_calls_that_a_stopping_server_does_not_take_go_to_the_other_one(undisturbed, refusal):
    @undisturbed
    def check(gate, servers):
        servers[0].refusal = refusal
        assert failures_of(gate, [LARGE, SMALL] * 12) == []
        assert servers[0].calls > 0
        assert servers[1].calls == 24


@pytest.mark.parametrize("health", [NOT_SERVING, None], ids=["not serving", "an error"])
def test_a_server_that_says_no_to_a_health_check_gets_no_call_until_it_says_yes(undisturbed, health):
    @undisturbed
    def check(gate, servers):
        servers[0].health = health
        gate.wait_for_servers(1, PATIENCE_S)
        until_calls_are(gate, servers, lambda calls: calls == [0, 8])
        until_calls_are(gate, servers, lambda calls: calls == [0, 8])
        servers[0].health = SERVING
        gate.wait_for_servers(2, PATIENCE_S)
        until_calls_are(gate, servers, lambda calls: min(calls) > 0)


@pytest.mark.parametrize(
    "refusal",
    [
        (grpc.StatusCode.UNAVAILABLE, "the stub died in the middle"),
        (grpc.StatusCode.NOT_FOUND, "no such thing"),
        (grpc.StatusCode.INTERNAL, "a fault"),
        (grpc.StatusCode.INVALID_ARGUMENT, "LEXICON is not JSON"),
        # Words that a caller puts into the answer.
        (grpc.StatusCode.INVALID_ARGUMENT, "LEXICON_NAME: 'Server exiting' is not a lexicon name"),
        (grpc.StatusCode.INVALID_ARGUMENT, f"unexpected inference input '{SCHEDULER_STOPS}' for model 'extractor'"),
        (grpc.StatusCode.UNAVAILABLE, f"[request id: x] {SCHEDULER_STOPS}] the stub died in the middle"),
    ],
)
def test_what_a_server_answered_is_not_asked_again_and_keeps_no_server_out(undisturbed, refusal):
    @undisturbed
    def check(gate, servers):
        for each in servers:
            each.refusal = refusal
        assert failures_of(gate, [SMALL] * 16) == [f"StatusCode.{refusal[0].name}"] * 16
        assert sum(each.calls for each in servers) == 16
        assert min(each.calls for each in servers) > 0
        assert gate.ready_servers() == 2


def test_calls_that_find_no_server_at_an_address_go_to_the_other_one_however_large_they_are(undisturbed):
    @undisturbed
    def check(gate, servers):
        servers[0].stop()
        assert failures_of(gate, [LARGE, SMALL] * 12) == []
        assert servers[1].calls == 24
        assert servers[0].calls == 0
