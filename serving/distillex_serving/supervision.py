"""Supervise services: detect that one died, log it, and restart it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from distillex_serving.service import Service

LOG = logging.getLogger("distillex.serve")
LAST_WORDS = 8


@dataclass(frozen=True)
class RestartPolicy:
    """How patiently to restart: the first time at once, then after waits that double up to the longest."""

    first_delay_s: float = 1.0
    longest_delay_s: float = 30.0
    calm_s: float = 10.0
    """After so long without a failure the count begins anew."""
    poll_s: float = 0.1

    def delay_s(self, failures: int) -> float:
        """Return the wait after the so-manieth failure in a row (1, 2, …)."""
        # The exponent is bounded: 2.0 ** 1024 overflows.
        return 0.0 if failures == 1 else min(self.longest_delay_s, self.first_delay_s * 2.0 ** min(failures - 2, 60))


def start_all(services: Sequence[Service], stop: threading.Event) -> bool:
    """Start services one after the other; return False where ``stop`` was set meanwhile, and none of them runs.

    Raises
    ------
    PreconditionError, ServerError
        When one does not start; none of them runs then.
    """
    done = threading.Event()

    def end_waiting() -> None:
        stop.wait()
        while not done.wait(0.2):
            for service in reversed(services):
                service.stop()

    # A start waits for as long as a minute; whoever says stop does not.
    threading.Thread(target=end_waiting, name="stop while starting", daemon=True).start()
    try:
        for service in services:
            if not stop.is_set():
                service.start()
    except Exception:
        if not stop.is_set():
            _stop_all(services)
            raise
    finally:
        done.set()
    if stop.is_set():
        _stop_all(services)
    return not stop.is_set()


def supervise(services: Sequence[Service], stop: threading.Event, policy: RestartPolicy | None = None) -> None:
    """Keep started services up until ``stop`` is set, then stop them, the last one first.

    One that fails is stopped and started again alone; the others stay. A start that fails is one more failure: there
    is no number of them after which it is not tried again.
    """
    watchers = [
        threading.Thread(target=_keep_up, args=(each, stop, policy or RestartPolicy()), name=f"watch {each.name}")
        for each in services
    ]
    for watcher in watchers:
        watcher.start()
    stop.wait()
    _stop_all(services)
    for watcher in watchers:
        watcher.join()


def _keep_up(service: Service, stop: threading.Event, policy: RestartPolicy) -> None:
    failures = 0
    up_since = time.monotonic()
    while not stop.wait(policy.poll_s):
        reason = service.failure()
        if reason is None or stop.is_set():
            continue
        down_since = time.monotonic()
        if down_since - up_since > policy.calm_s:
            failures = 0
        LOG.error("%s%s", reason, _last_words(service))
        # What answers no longer is not left to be asked: clients and balancers shall see a closed port.
        service.stop()
        failures = _start_again(service, stop, policy, failures + 1)
        up_since = time.monotonic()
        if not stop.is_set():
            LOG.warning("%s is ready again, after %.1f s", service.name, up_since - down_since)


def _start_again(service: Service, stop: threading.Event, policy: RestartPolicy, failures: int) -> int:
    """Start until it succeeds or ``stop`` is set; return the number of failures in a row."""
    while True:
        delay_s = policy.delay_s(failures)
        LOG.error("starting %s again %s (failure %d in a row)", service.name, _when(delay_s), failures)
        if stop.wait(delay_s):
            return failures
        try:
            service.start()
            if stop.is_set():
                # It may have ended after all were stopped.
                service.stop()
            return failures
        except Exception as error:  # whatever it is, to try again is better than to leave it down
            if stop.is_set():
                return failures
            failures += 1
            LOG.error("%s did not start: %s", service.name, error)


def _when(delay_s: float) -> str:
    return f"in {delay_s:.0f} s" if delay_s else "now"


def _stop_all(services: Sequence[Service]) -> None:
    for service in reversed(services):
        service.stop()


def _last_words(service: Service) -> str:
    lines = service.last_log_lines(LAST_WORDS)
    return "\n".join([f"; the last words of {service.name}:", *lines]) if lines else ""
