"""Write extracted records: as lines, as pages, or to a terminal.

A file grows as ``OUTPUT.part`` and gets its name when it is whole. Its bytes up to the last checkpoint are what a
resumed run keeps; what was written after it, perhaps half a line, is cut off.
"""

from __future__ import annotations

import contextlib
import enum
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from distillex_client.batch.durable import naming, sync_file
from distillex_client.batch.encoders import Encoder, html_page
from distillex_client.batch.records import BadRecord, Extracted
from distillex_client.errors import WrongUse
from distillex_client.printable import discard

SYNCED_AT_ONCE = 16


class OutputFormat(str, enum.Enum):
    """Forms of output."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    HTML = "html"
    TABLE = "table"


class Output(Protocol):
    """Where the results go."""

    def paths(self) -> list[Path]:
        """Return what this output writes, directories with all that is in them."""

    def begin(self, state: Mapping[str, Any] | None) -> None:
        """Start anew, or where ``state`` says."""

    def write(self, results: Sequence[Extracted]) -> list[BadRecord]:
        """Write results; returns those that this format cannot hold."""

    def state(self, *, at_end: bool = False) -> dict[str, Any] | None:
        """Make everything durable and say where the output stands; None where it cannot stop at this place."""

    def assemble(self, state: Mapping[str, Any]) -> Path | None:
        """Return the whole file, still under a temporary name; None where it has its name already, or none at all."""

    def clean(self) -> None:
        """Remove what is no longer needed."""

    def close(self) -> None:
        """Let go of files."""


class FileOutput:
    """One file that grows."""

    def __init__(self, path: Path, encoder: Encoder) -> None:
        self.path = path
        self._temporary = path.with_name(path.name + ".part")
        self._encoder = encoder
        self._stream: BinaryIO | None = None

    def paths(self) -> list[Path]:
        """Return the file and its name while it grows."""
        return [self.path, self._temporary]

    def begin(self, state: Mapping[str, Any] | None) -> None:
        """Open the file, cut to what the checkpoint knows of."""
        self._stream = open_at(self._temporary, 0 if state is None else int(state["bytes"]))
        if state is not None:
            self._encoder.restore(state["encoder"])

    def write(self, results: Sequence[Extracted]) -> list[BadRecord]:
        """Append."""
        with naming(self.path):
            return _write_encoded(self._open(), self._encoder, results)

    def state(self, *, at_end: bool = False) -> dict[str, Any] | None:  # noqa: ARG002
        """Flush, wait for the disk, and return the length."""
        stream = self._open()
        with naming(self.path):
            stream.flush()
            os.fsync(stream.fileno())
        return {"bytes": stream.tell(), "encoder": self._encoder.state()}

    def assemble(self, state: Mapping[str, Any]) -> Path | None:  # noqa: ARG002
        """Return the file."""
        return self._temporary if self._temporary.exists() else None

    def clean(self) -> None:
        """Nothing is left."""

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            close_unfinished(self._stream)

    def _open(self) -> BinaryIO:
        if self._stream is None:
            raise ValueError(f"{self.path} was not begun")
        return self._stream


class StreamOutput:
    """Standard output, which nobody can take back: no checkpoint."""

    def __init__(self, stream: BinaryIO, encoder: Encoder) -> None:
        self._stream = stream
        self._encoder = encoder

    def paths(self) -> list[Path]:
        """Tell that there are none."""
        return []

    def begin(self, state: Mapping[str, Any] | None) -> None:
        """Nothing to open."""

    def write(self, results: Sequence[Extracted]) -> list[BadRecord]:
        """Write and flush, so that the next command in the pipe gets on."""
        try:
            bad = _write_encoded(self._stream, self._encoder, results)
            self._stream.flush()
        except OSError:
            discard(self._stream)
            raise
        return bad

    def state(self, *, at_end: bool = False) -> dict[str, Any] | None:  # noqa: ARG002
        """Tell that there is none."""
        return None

    def assemble(self, state: Mapping[str, Any]) -> Path | None:  # noqa: ARG002
        """Tell that there is no file."""
        return None

    def clean(self) -> None:
        """Nothing is left."""

    def close(self) -> None:
        """Leave standard output open."""


class HtmlDirectory:
    """A directory of pages, ``00000001.html`` for the first document that was extracted, and so on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pages = 0
        self._durable = 0

    def paths(self) -> list[Path]:
        """Return the directory."""
        return [self.path]

    def begin(self, state: Mapping[str, Any] | None) -> None:
        """Make the directory; go on after the pages that the checkpoint knows of, which are written again."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._pages = self._durable = 0 if state is None else int(state["pages"])

    def write(self, results: Sequence[Extracted]) -> list[BadRecord]:
        """Write a page each."""
        for result in results:
            self._page(self._pages + 1).write_bytes(html_page(result))
            self._pages += 1
        return []

    def state(self, *, at_end: bool = False) -> dict[str, Any] | None:  # noqa: ARG002
        """Wait for the disk, and return the number of pages."""
        pages = [self._page(number) for number in range(self._durable + 1, self._pages + 1)]
        # At once: a file system then writes its journal for many of them together.
        with ThreadPoolExecutor(SYNCED_AT_ONCE) as pool:
            list(pool.map(sync_file, pages))
        sync_file(self.path)
        self._durable = self._pages
        return {"pages": self._pages}

    def assemble(self, state: Mapping[str, Any]) -> Path | None:
        """Tell that the pages have their names already."""
        self._pages = int(state["pages"])
        return None

    def clean(self) -> None:
        """Remove the further pages of an earlier run, which had more documents."""
        number = self._pages + 1
        while self._page(number).exists():
            self._page(number).unlink()
            number += 1

    def close(self) -> None:
        """Nothing is open."""

    def _page(self, number: int) -> Path:
        return self.path / f"{number:08d}.html"


def open_at(path: Path, length: int) -> BinaryIO:
    """Open a file for writing after its first ``length`` bytes, and cut off the rest.

    Raises
    ------
    WrongUse
        When the file is shorter: it is not the one that the checkpoint speaks of.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    size = path.stat().st_size if path.exists() else 0
    if size < length:
        raise WrongUse(
            f"{path} has {size} bytes where the checkpoint counts {length}; delete the checkpoint to start again"
        )
    stream = path.open("r+b" if path.exists() else "w+b")
    stream.truncate(length)
    stream.seek(length)
    return stream


def close_unfinished(stream: BinaryIO) -> None:
    """Close a file of which all that counts is on the disk; where the disk is full, the rest cannot be written."""
    with contextlib.suppress(OSError):
        stream.close()


def _write_encoded(stream: BinaryIO, encoder: Encoder, results: Sequence[Extracted]) -> list[BadRecord]:
    bad: list[BadRecord] = []
    for result in results:
        try:
            stream.write(encoder.encode(result))
        except (ValueError, RecursionError) as error:
            bad.append(BadRecord(result.record.place, str(error)))
    return bad
