"""Locks, so that only one run writes an output."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from distillex_client.errors import WrongUse

LOG = logging.getLogger("distillex.batch")


def lock_name(path: Path) -> Path:
    """Return the file beside an output that is locked while a run writes it."""
    return path.with_name(path.name + ".lock")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of an output. That of a process that was killed is free at once.

    Raises
    ------
    WrongUse
        When another run holds it.
    """
    name = lock_name(path)
    name.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _lock(name, path)
    try:
        yield
    finally:
        # Removed while it is held, so that nobody waits for a file without a name.
        with contextlib.suppress(OSError):
            name.unlink()
        os.close(descriptor)


def _lock(name: Path, path: Path) -> int:
    # Not on Windows, where the rest of the package can be imported.
    import fcntl

    while True:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise WrongUse(f"another run is writing {path}; wait for it, or give another --output") from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                os.close(descriptor)
                raise
            LOG.warning("this file system has no locks: see to it that no other run writes %s", path)
            return descriptor
        if _is_named(descriptor, name):
            return descriptor
        # The run before removed it between our opening and locking it.
        os.close(descriptor)


def _is_named(descriptor: int, name: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), name.stat())
    except FileNotFoundError:
        return False
