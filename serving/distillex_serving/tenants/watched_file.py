"""A file that is reloaded when it changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

LOG = logging.getLogger("distillex.tenants")
Content = TypeVar("Content")
_Identity = tuple[int, int, int, int]


class WatchedFile(Generic[Content]):
    """What a file says now; one that is broken meanwhile changes nothing, and the log says so once.

    Parameters
    ----------
    path
        The file. It may be replaced, written in place, or be a link that is turned to another one (Kubernetes).
    read
        Bytes → content; raises ValueError for bytes that are wrong.

    Raises
    ------
    ValueError
        Where it cannot be read, or is wrong, at first; begins with the path.
    """

    def __init__(self, path: Path, read: Callable[[bytes], Content]) -> None:
        self._path = path
        self._read = read
        self._lock = threading.Lock()
        self._identity: _Identity | None = self._identity_now()
        try:
            self._content = read(path.read_bytes())
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def content(self) -> Content:
        """Return it; costs a look at the file's status where nothing changed."""
        identity = self._identity_now()
        if identity != self._identity:
            with self._lock:
                if identity != self._identity:
                    self._renew(identity)
        return self._content

    def _renew(self, identity: _Identity | None) -> None:
        try:
            self._content = self._read(self._path.read_bytes())
            LOG.info("%s: read anew", self._path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            LOG.error("%s: %s; the previous content stays valid", self._path, reason)
        self._identity = identity

    def _identity_now(self) -> _Identity | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
