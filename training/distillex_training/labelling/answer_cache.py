"""A cache of an LLM's answers, by text, prompt, model and server, so that a killed run can continue."""

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
        """Return the answer that is kept under a key.

        Raises
        ------
        OSError
            For a table of other columns, or a damaged file.
        """
        row = self._run("SELECT content, tokens_in, tokens_out FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else Kept(*row)

    def put(self, key: str, kept: Kept) -> None:
        """Keep an answer; it is on disk when this returns.

        Raises
        ------
        OSError
            Where it cannot be written: the disk is full, say.
        """
        values = (key, kept.content, kept.tokens_in, kept.tokens_out)
        self._run("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", values)

    def _run(self, statement: str, values: tuple[str | int | None, ...]) -> sqlite3.Cursor:
        try:
            return self._table.execute(statement, values)
        except sqlite3.Error as error:
            raise OSError(f"{self.path}: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._table.close()
