"""Processes of a session, read from /proc: the server and the Python-backend stubs that it started."""

from __future__ import annotations

from pathlib import Path


def session_members(session_id: int) -> dict[int, str]:
    """Return process id → command name of the live (not zombie) processes of a session."""
    members: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # pid (command) state ppid pgrp session …; the command may hold spaces and brackets.
            line = (entry / "stat").read_text()
        except OSError:
            continue
        head, _, tail = line.rpartition(")")
        fields = tail.split()
        if int(fields[3]) == session_id and fields[0] != "Z":
            members[int(entry.name)] = head.partition("(")[2]
    return members
