"""SIGINT and SIGTERM as an event that threads wait for."""

from __future__ import annotations

import queue
import signal
import threading


def stop_on_signals() -> threading.Event:
    """Return an event that is set once this process is asked to stop. To be called by the main thread."""
    stop = threading.Event()
    signals: queue.SimpleQueue[None] = queue.SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not stop.set(): a second signal while it holds its lock would wait for that for good.
        signal.signal(number, lambda *_: signals.put(None))

    def set_it() -> None:
        signals.get()
        stop.set()

    threading.Thread(target=set_it, name="stop on signal", daemon=True).start()
    return stop
