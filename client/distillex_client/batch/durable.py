"""Write files that are complete or absent, even after a power cut."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error say which file it is about, as those of an open file do not."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def sync_file(path: Path) -> None:
    """Wait until a file's bytes, or a directory's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(temporary: Path, path: Path) -> None:
    """Give a finished file its name, in one step."""
    sync_file(temporary)
    temporary.replace(path)
    sync_file(path.parent)


def write_durably(path: Path, content: bytes) -> None:
    """Replace a small file in one step."""
    temporary = temporary_name(path)
    try:
        temporary.write_bytes(content)
        replace_durably(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def temporary_name(path: Path) -> Path:
    """Return the name under which the next content of a small file is written."""
    return path.with_name(path.name + ".tmp")
