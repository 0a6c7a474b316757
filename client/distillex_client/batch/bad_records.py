"""The file of bad records: each with its place and the reason, as JSON Lines."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from distillex_client.batch.durable import naming
from distillex_client.batch.records import BadRecord
from distillex_client.batch.writers import close_unfinished, open_at
from distillex_client.printable import say

NAMED_ON_STANDARD_ERROR = 10


class BadRecords:
    """Bad records in a side file, the first of them also on standard error; without a file, all of them there."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._temporary = None if path is None else path.with_name(path.name + ".part")
        self._stream: BinaryIO | None = None
        self._named = 0

    def paths(self) -> list[Path]:
        """Return the side file and its name while it grows."""
        return [path for path in (self.path, self._temporary) if path is not None]

    def begin(self, length: int) -> None:
        """Open the side file after ``length`` bytes."""
        if self._temporary is not None:
            self._stream = open_at(self._temporary, length)

    def write(self, bad: Sequence[BadRecord]) -> None:
        """Name them."""
        for record in bad:
            if self._stream is not None and self.path is not None:
                line = json.dumps({"source": record.place, "reason": record.reason}, ensure_ascii=False) + "\n"
                with naming(self.path):
                    self._stream.write(line.encode("utf-8", "backslashreplace"))
            if self._stream is None or self._named < NAMED_ON_STANDARD_ERROR:
                say(f"{record.place}: {record.reason}")
            elif self._named == NAMED_ON_STANDARD_ERROR:
                say(f"more bad records: see {self.path}")
            self._named += 1

    def make_durable(self) -> int:
        """Flush, wait for the disk, and return the length."""
        if self._stream is None or self.path is None:
            return 0
        with naming(self.path):
            self._stream.flush()
            os.fsync(self._stream.fileno())
        return self._stream.tell()

    def assemble(self) -> None:
        """Give the side file its name; where nothing was bad there is none."""
        if self._temporary is None or self.path is None:
            return
        self.make_durable()
        self.close()
        if self._temporary.exists():
            if self._temporary.stat().st_size:
                self._temporary.replace(self.path)
            else:
                self._temporary.unlink()
                self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            close_unfinished(self._stream)
            self._stream = None
