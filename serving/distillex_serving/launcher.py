"""Start processes that end with this one, however it ends.

Linux binds such a process to the *thread* that forked it. So all are forked by one thread that lives as long as this
process: a server started from a notebook's cell, a pool or a test's fixture outlives the thread that asked for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

SET_PARENT_DEATH_SIGNAL = 1
MOST_FILES = 65536
# Opened before any fork: a child of a process with threads must not wait for the loader's lock.
_LIBC = ctypes.CDLL(None)


def _new_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="distillex-launcher")


_thread = _new_thread()


def _renew_thread() -> None:
    global _thread  # noqa: PLW0603
    _thread = _new_thread()


# A forked copy of this process has none of its threads.
os.register_at_fork(after_in_child=_renew_thread)


def launch(command: Sequence[str], environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a process in a session of its own; what it prints, both streams in one, is in ``stdout``.

    It may open as many files as this user's hard limit allows, and is sent SIGTERM when this process ends.
    """
    return _thread.submit(_popen, command, environment).result()


def _popen(command: Sequence[str], environment: Mapping[str, str] | None) -> subprocess.Popen[str]:
    parent = os.getpid()

    def prepare() -> None:
        with contextlib.suppress(OSError, AttributeError, ValueError):
            _LIBC.prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, MOST_FILES)), hard))
        if os.getppid() != parent:
            os._exit(1)

    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=prepare,  # noqa: PLW1509
    )
