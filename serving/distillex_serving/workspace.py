"""The temporary folder of a running service, and the removal of what killed services left.

The name of a folder identifies its owner: the namespace of process ids, the id of the process that made it and the
moment when that began. Its processes have the name in their environment, their regions of shared memory begin with it.
So whoever starts next can tell what is left of a process that was killed, and a live neighbour's stays.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from distillex_serving.errors import PreconditionError
from distillex_serving.launcher import launch
from distillex_serving.processes import processes_with, status_of

LOG = logging.getLogger("distillex.serve")
SHARED_MEMORY = Path("/dev/shm")
NAME = re.compile(r"distillex-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<started>\d+)-[0-9a-f]{8}")
VARIABLE = "DISTILLEX_WORKSPACE"
PLAIN_PATH = re.compile(r"[\w/.,:+=@%~-]+", re.ASCII)
"""What Triton, and the shell by which it starts stubs, take as one name."""
END_TIMEOUT_S = 5.0
SET_TMPDIR = "set TMPDIR to a folder that can be written to"


class Workspace:
    """A folder with a name of its own in the temporary folder of this machine.

    Raises
    ------
    PreconditionError
        When it cannot be made.
    """

    def __init__(self) -> None:
        own = status_of(os.getpid())
        started = own.started if own is not None else 0
        self.name = f"distillex-{_namespace()}-{os.getpid()}-{started}-{secrets.token_hex(4)}"
        self.path = _temporary_folder() / self.name
        try:
            self.path.mkdir(mode=0o700)
        except OSError as error:
            raise PreconditionError(
                f"no folder can be made in {self.path.parent} ({error.strerror}): {SET_TMPDIR}"
            ) from None

    def launch(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> subprocess.Popen[str]:
        """Start a process that belongs here, as :func:`~distillex_serving.launcher.launch` does."""
        return launch(command, {**(os.environ if environment is None else environment), VARIABLE: self.name}, folder)

    def remove(self) -> None:
        """Remove the folder and the shared memory of its services, which have ended."""
        shutil.rmtree(self.path, ignore_errors=True)
        _remove_shared_memory(self.name)


def remove_leftovers() -> None:
    """End and remove what killed processes of this user left: services, folders, shared memory."""
    for name in sorted(_names_of_the_dead()):
        orphans = processes_with(VARIABLE, name)
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + END_TIMEOUT_S
        while any(status_of(pid) for pid in orphans) and time.monotonic() < deadline:
            time.sleep(0.02)
        shutil.rmtree(_temporary_folder() / name, ignore_errors=True)
        _remove_shared_memory(name)
        LOG.info("removed what a killed process left: %s", name)


def _names_of_the_dead() -> set[str]:
    names = set()
    for folder in (_temporary_folder(), SHARED_MEMORY):
        for path in folder.glob("distillex-*") if folder.is_dir() else ():
            match = NAME.match(path.name)
            if match is None or int(match["namespace"]) != _namespace() or not _is_own(path):
                continue
            owner = status_of(int(match["pid"]))
            if owner is None or owner.started != int(match["started"]):
                names.add(match[0])
    return names


def _temporary_folder() -> Path:
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        raise PreconditionError(f"{error.strerror}: {SET_TMPDIR}") from None
    if not PLAIN_PATH.fullmatch(str(folder)):
        raise PreconditionError(
            f"the temporary folder {str(folder)!r} has a blank or another character in its name that Triton does not "
            "take: set TMPDIR to a folder named with letters, digits and . , _ - alone"
        )
    return folder


def _namespace() -> int:
    """Tell containers apart that share folders but do not see each other's processes."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


def _is_own(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.geteuid()
    except OSError:
        return False


def _remove_shared_memory(name: str) -> None:
    for region in SHARED_MEMORY.glob(f"{name}*") if SHARED_MEMORY.is_dir() else ():
        with contextlib.suppress(OSError):
            region.unlink()
