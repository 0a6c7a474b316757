"""What fails is started again, alone, for as long as it takes; what it is told in the meantime, the log says."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from distillex_serving.errors import PreconditionError
from distillex_serving.supervision import RestartPolicy, start_all, supervise

QUICK = RestartPolicy(first_delay_s=0.01, longest_delay_s=0.04, poll_s=0.005)


class Fragile:
    """A service that breaks when told to; its next starts fail with the given errors first."""

    def __init__(self, name):
        self.name = name
        self.events = []
        self.broken = None
        self.errors = []
        self.waits = None
        """Where it is an event, a start waits until it is set or the service is stopped."""

    def start(self):
        self.events.append("start")
        if self.waits is not None:
            self.waits.wait(10)
            raise RuntimeError("stopped while it waited")
        if self.errors:
            raise self.errors.pop(0)
        self.broken = None

    def stop(self):
        self.events.append("stop")
        if self.waits is not None:
            self.waits.set()

    def failure(self):
        return self.broken

    def last_log_lines(self, count):
        return ["its last line"]


@pytest.fixture
def kept_up():
    """Supervise services in a thread; the test ends them."""
    stop = threading.Event()
    threads = []

    def begin(*services, policy=QUICK):
        threads.append(threading.Thread(target=supervise, args=(services, stop, policy)))
        threads[-1].start()
        return stop

    yield begin
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def wait_until(condition, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_what_fails_is_started_again_alone(kept_up, caplog):
    one, other = Fragile("one"), Fragile("other")
    kept_up(one, other)
    with caplog.at_level(logging.INFO):
        one.broken = "one of its parts died"
        wait_until(lambda: "one is ready again" in caplog.text)
    assert one.events == ["stop", "start"]
    assert other.events == []
    assert "one of its parts died; the last words of one:\nits last line" in caplog.text


def test_starts_that_fail_are_failures_more_and_never_the_end(kept_up, caplog):
    service = Fragile("it")
    service.errors = [PreconditionError("the port is taken"), RuntimeError("never ready"), OSError("no memory")] * 4
    with caplog.at_level(logging.INFO):
        kept_up(service)
        service.broken = "it died"
        wait_until(lambda: "ready again" in caplog.text)
    assert service.events == ["stop", *["start"] * 13]
    assert "it did not start: the port is taken" in caplog.text
    assert "starting it again now (failure 1 in a row)" in caplog.text
    assert "(failure 13 in a row)" in caplog.text


def test_waits_double_up_to_the_longest_and_begin_anew_after_a_calm(kept_up, caplog):
    assert [RestartPolicy().delay_s(n) for n in (1, 2, 3, 4, 5, 6, 7, 8, 10**6)] == [0, 1, 2, 4, 8, 16, 30, 30, 30]
    service = Fragile("it")
    kept_up(service, policy=RestartPolicy(calm_s=0.0, poll_s=0.005))
    with caplog.at_level(logging.INFO):
        for times in range(1, 4):
            service.broken = "it died"
            wait_until(lambda times=times: caplog.text.count("ready again") == times)
    assert caplog.text.count("starting it again now (failure 1 in a row)") == 3


def test_two_failures_without_a_calm_between_them_are_counted(kept_up, caplog):
    service = Fragile("it")
    kept_up(service)
    with caplog.at_level(logging.INFO):
        for times in range(1, 3):
            service.broken = "it died"
            wait_until(lambda times=times: caplog.text.count("ready again") == times)
    assert "(failure 2 in a row)" in caplog.text


def test_told_to_stop_it_ends_a_start_that_waits_and_stops_the_last_first(kept_up):
    order = []
    one, other = Fragile("one"), Fragile("other")
    other.stop = lambda: order.append("other")
    stop = kept_up(one, other)

    def stop_one():
        order.append("one")
        if stop.is_set():
            one.waits.set()

    one.stop = stop_one
    one.waits = threading.Event()
    one.broken = "one died"
    wait_until(lambda: "start" in one.events)
    stop.set()
    wait_until(one.waits.is_set)
    assert order[:2] == ["one", "other"]  # the first because it had failed


def test_told_to_stop_it_stops_one_after_the_other():
    """A server answers what its gate lets through for as long as that drains."""
    order, stop = [], threading.Event()
    server, gate = Fragile("server"), Fragile("gate")
    drained = threading.Event()

    def drain():
        drained.wait(0.5)  # long enough for a watcher to stop the server too early
        order.append("gate")

    gate.stop = drain
    server.stop = lambda: order.append("server")
    thread = threading.Thread(target=supervise, args=([server, gate], stop, QUICK))
    thread.start()
    stop.set()
    thread.join(10)
    assert order == ["gate", "server"]


def test_a_start_that_ends_well_after_all_were_stopped_is_stopped_again(kept_up):
    service = Fragile("it")
    ended, may_end = threading.Event(), threading.Event()

    def start():
        service.events.append("start")
        may_end.wait(10)
        ended.set()

    service.start = start
    stop = kept_up(service)
    service.broken = "it died"
    wait_until(lambda: "start" in service.events)
    stop.set()
    wait_until(lambda: service.events[-1] == "stop")
    may_end.set()
    assert ended.wait(10)
    wait_until(lambda: service.events == ["stop", "start", "stop", "stop"])


def test_services_start_in_their_order():
    order = []
    services = [Fragile("one"), Fragile("other")]
    for each in services:
        each.start = lambda name=each.name: order.append(name)
    assert start_all(services, threading.Event())
    assert order == ["one", "other"]


def test_a_start_that_fails_stops_what_was_started_and_is_told():
    one, other = Fragile("one"), Fragile("other")
    other.errors = [PreconditionError("the port is taken")]
    with pytest.raises(PreconditionError, match="the port is taken"):
        start_all([one, other], threading.Event())
    assert one.events[-1] == other.events[-1] == "stop"


def test_told_to_stop_while_it_starts_it_does_not_wait_for_the_end_of_the_start():
    one, other = Fragile("one"), Fragile("other")
    one.waits = threading.Event()
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    assert not start_all([one, other], stop)
    assert one.events[-1] == "stop"
    assert "start" not in other.events
