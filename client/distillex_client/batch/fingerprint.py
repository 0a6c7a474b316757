"""Checksums of what was read of each input, so that a resumed run notices changed inputs."""

from __future__ import annotations

import hashlib
import io
import select
from dataclasses import dataclass
from typing import Any

from distillex_client.errors import WrongUse

BLOCK_BYTES = 1 << 18
READ_AHEAD_BYTES = 1 << 22


@dataclass(frozen=True)
class Fingerprint:
    """The bytes of a file that were read."""

    size_bytes: int
    digest: str
    ended: bool
    """The file's end was met: nothing may come after these bytes."""


class FingerprintedFile(io.RawIOBase):
    """A file, standard input or a pipe that is read in order; knows the fingerprint of what was read.

    Parameters
    ----------
    file
        What is read.
    name
        Its name, for messages.
    expected
        What an earlier run read; as soon as that much is read, it has to be the same.

    Raises
    ------
    WrongUse
        While reading, when it is not.
    """

    def __init__(self, file: io.FileIO, name: str, expected: Fingerprint | None = None) -> None:
        self._file = file
        self._name = name
        self._expected = expected
        self._hash = hashlib.blake2b(digest_size=16)
        self._size_bytes = 0
        self._ended = False
        self._ahead = b""
        self._fingerprint: Fingerprint | None = None

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def tell(self) -> int:
        """Return how many bytes were handed out."""
        return self._size_bytes - len(self._ahead)

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as bytes are there."""
        # A file that grows behind its end is not read on: its last line was taken for whole.
        if not (self._ahead or self._ended) and len(buffer):
            self._read(len(buffer))
        count = min(len(buffer), len(self._ahead))
        buffer[:count] = self._ahead[:count]
        self._ahead = self._ahead[count:]
        return count

    def beginning(self, count: int) -> bytes:
        """Return the first bytes, before any is read, without handing them out; fewer where the file is shorter."""
        while len(self._ahead) < count and not self._ended:
            self._read(BLOCK_BYTES)
        return self._ahead[:count]

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of what was read so far."""
        if self._fingerprint is None:
            self._fingerprint = Fingerprint(self._size_bytes, self._hash.hexdigest(), self._ended)
        return self._fingerprint

    def verify(self) -> None:
        """Check what was expected, now that all that came out of it is read again.

        Raises
        ------
        WrongUse
            When it is not the same.
        """
        while self._expected is not None:
            if self._expected.size_bytes - self._size_bytes > READ_AHEAD_BYTES:
                # Of the same bytes nothing near as much would be left.
                raise changed(self._name)
            self._read(BLOCK_BYTES)

    def read_to_the_end(self) -> None:
        """Read all, for formats that are not read in order."""
        while not self._ended:
            self._ahead = b""
            self._read(BLOCK_BYTES)

    def _read(self, count: int) -> None:
        data = self._file.read(count)
        while data is None:
            # A pipe that does not block has nothing yet, which is not its end.
            select.select([self._file], [], [])
            data = self._file.read(count)
        self._compare(data)
        self._hash.update(data)
        self._size_bytes += len(data)
        self._ended = not data
        self._ahead += data
        self._fingerprint = None

    def _compare(self, data: bytes) -> None:
        expected = self._expected
        if expected is None:
            return
        left = expected.size_bytes - self._size_bytes
        if data and len(data) < left:
            return
        digest = self._hash.copy()
        digest.update(data[:left])
        if len(data) < left or digest.hexdigest() != expected.digest or (expected.ended and len(data) > left):
            raise changed(self._name)
        if not (expected.ended and data):
            self._expected = None


def changed(name: str) -> WrongUse:
    """Return the error for an input that is not what it was."""
    return WrongUse(
        f"{name} has changed where the unfinished run had read it: an output of both would be neither's; "
        "to start again, delete the checkpoint beside the output"
    )
