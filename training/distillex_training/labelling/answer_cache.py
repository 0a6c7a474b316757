"""Answers that were paid for, by a hash of text, prompt, model and server: a run that was killed goes on from them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

FILE = "answers.sqlite"


@dataclass(frozen=True)
class Kept:
    """A good answer."""

    content: str
    tokens_in: int | None
    tokens_out: int | None


class AnswerCache:
    """A table of answers on disk; several processes may share it."""

    def __init__(self, directory: Path) -> None:
        """Open it.

        Raises
        ------
        OSError
            For a folder that cannot be made, or a file that is no such table.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / FILE
        try:
            self._table = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            self._table.execute("PRAGMA journal_mode=WAL")
            self._table.execute("PRAGMA synchronous=NORMAL")
            self._table.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, content TEXT NOT NULL, "
                "tokens_in INTEGER, tokens_out INTEGER)"
            )
        except sqlite3.Error as error:
            raise OSError(f"{self.path}: {error}") from None

    def get(self, key: str) -> Kept | None:
        """Return the answer that is kept under a key."""
        row = self._table.execute("SELECT content, tokens_in, tokens_out FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else Kept(*row)

    def put(self, key: str, kept: Kept) -> None:
        """Keep an answer; it is on disk when this returns."""
        values = (key, kept.content, kept.tokens_in, kept.tokens_out)
        self._table.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", values)

    def close(self) -> None:
        """Close the file."""
        self._table.close()
