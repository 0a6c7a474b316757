"""The SHA-256 of a file, read in pieces."""

from __future__ import annotations

import hashlib
from pathlib import Path

PIECE = 1 << 20
"""Bytes."""


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits.

    Raises
    ------
    OSError
        Where it cannot be read.
    """
    checksum = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            checksum.update(piece)
    return checksum.hexdigest()
