"""SIGINT and SIGTERM as an event that threads wait for."""

from __future__ import annotations

import os
import signal
import threading

STOPPING = (signal.SIGINT, signal.SIGTERM)


def stop_on_signals() -> threading.Event:
    """Return an event that is set once this process is asked to stop. To be called by the main thread."""
    stop = threading.Event()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    # Python runs handlers in the main thread alone, between two steps of it: one that begins to wait just as the
    # signals come sleeps on without having run any. The interpreter writes to the pipe whichever thread is hit.
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in STOPPING:
        signal.signal(number, lambda *_: None)

    def set_it() -> None:
        while not set(os.read(read_end, 64)) & set(STOPPING):
            pass
        stop.set()

    threading.Thread(target=set_it, name="stop on signal", daemon=True).start()
    return stop
