"""Processes, read from /proc: the server, the Python-backend stubs that it started, and those that an owner left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
ZOMBIE = "Z"


@dataclass(frozen=True)
class ProcessStatus:
    """What /proc/PID/stat contains."""

    pid: int
    command: str
    """At most 15 characters."""
    state: str
    session: int
    started: int
    """Clock ticks since the machine's start: with the pid it names one process for good."""


def status_of(pid: int) -> ProcessStatus | None:
    """Return what is known of a live (not zombie) process; None where there is none."""
    try:
        # pid (command) state ppid pgrp session …; the command may hold spaces and brackets.
        line = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    head, _, tail = line.rpartition(")")
    fields = tail.split()
    if fields[0] == ZOMBIE:
        return None
    return ProcessStatus(pid, head.partition("(")[2], fields[0], int(fields[3]), int(fields[19]))


def command_line(pid: int) -> list[str]:
    """Return the arguments of a process; empty where there is none, or where it is another user's."""
    try:
        content = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return content.decode(errors="replace").rstrip("\0").split("\0") if content else []


def session_members(session_id: int) -> dict[int, str]:
    """Return process id → command name of the live processes of a session."""
    statuses = (status_of(pid) for pid in all_pids())
    return {status.pid: status.command for status in statuses if status is not None and status.session == session_id}


def processes_with(variable: str, value: str) -> list[int]:
    """Return the live processes of this user that were started with an environment variable of that value."""
    wanted = f"{variable}={value}".encode()
    return [pid for pid in all_pids() if wanted in _environment(pid) and status_of(pid) is not None]


def all_pids() -> Iterator[int]:
    """Yield the ids of the processes that this one sees."""
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def _environment(pid: int) -> list[bytes]:
    try:
        if (PROC / str(pid)).stat().st_uid != os.geteuid():
            return []
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
