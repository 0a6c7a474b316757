"""Signals stop a command whatever its main thread does when they come."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

WAITS = """
import signal, threading
from distillex_serving.stop_signals import stop_on_signals

stop = stop_on_signals()
signal.signal(signal.SIGUSR1, lambda *_: None)
threading.Thread(target=threading.Event().wait, daemon=True).start()
# Another thread is hit, so nothing wakes this one: as when the signals come just before it begins to wait.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1})
print("waiting", flush=True)
print("stopped" if stop.wait(%s) else "still waiting", flush=True)
"""


def _waiting(seconds):
    process = subprocess.Popen([sys.executable, "-c", WAITS % seconds], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "waiting\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_main_thread_that_is_not_woken_is_stopped_too(number):
    process = _waiting(60)
    for _ in range(3):
        process.send_signal(number)
    assert process.communicate(timeout=60)[0] == "stopped\n"


def test_another_signal_with_a_handler_does_not_stop():
    process = _waiting(0.5)
    process.send_signal(signal.SIGUSR1)
    assert process.communicate(timeout=60)[0] == "still waiting\n"
