"""Start processes that end with this one, however it ends.

Linux binds such a process to the *thread* that started it. So all are started by one thread that lives as long as this
process: a server started from a notebook's cell, a pool or a test's fixture outlives the thread that asked for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from distillex_serving import bound_process
from distillex_serving.bound_process import LIBRARY_PATH, PROGRAMS_LIBRARY_PATH


def _new_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="distillex-launcher")


_thread = _new_thread()


def _renew_thread() -> None:
    global _thread  # noqa: PLW0603
    _thread = _new_thread()


# A forked copy of this process has none of its threads.
os.register_at_fork(after_in_child=_renew_thread)


def launch(
    command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> subprocess.Popen[str]:
    """Start a process in a session of its own; what it prints, both streams in one, is in ``stdout``.

    It works in ``folder``, by default in this process's.

    It may open as many files as this user's hard limit allows, and is sent SIGTERM when this process ends. A program
    that cannot be started says so there and ends with 1.
    """
    return _thread.submit(_popen, command, environment, folder).result()


def _popen(command: Sequence[str], environment: Mapping[str, str] | None, folder: Path | None) -> subprocess.Popen[str]:
    variables = dict(os.environ if environment is None else environment)
    if (libraries := variables.pop(LIBRARY_PATH, None)) is not None:
        variables[PROGRAMS_LIBRARY_PATH] = libraries
    if (own := os.environ.get(LIBRARY_PATH)) is not None:
        variables[LIBRARY_PATH] = own
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(bound_process.__file__), str(os.getpid()), *command],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
        cwd=folder,
    )
