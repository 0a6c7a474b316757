"""The records that pass from readers to writers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from distillex_client.batch.fingerprint import Fingerprint
from distillex_client.entity import Entity

CHUNK_RECORDS = 1024
CHUNK_CHARACTERS = 200_000


@dataclass(frozen=True)
class Mark:
    """How far the input was read when a record came out of it."""

    position: float = 0.0
    """Part of all input, 0 to 1; 0 where that is not known."""
    source: int = 0
    """Index of the record's source."""
    fingerprint: Fingerprint | None = None
    """What was read of this source; None where it could not be opened."""


@dataclass
class Record:
    """One document of the input."""

    place: str
    """Where it stood: ``news.jsonl:17``."""
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What the output keeps of it."""
    row: tuple[Any, int] | None = None
    """Of Parquet that is written as Parquet: the record batch and the row in it, instead of ``fields``."""
    mark: Mark = field(default_factory=Mark, compare=False)


@dataclass
class BadRecord:
    """A record that cannot be extracted, and why."""

    place: str
    reason: str
    mark: Mark = field(default_factory=Mark, compare=False)


@dataclass(frozen=True)
class Extracted:
    """A record with what was found in it."""

    record: Record
    entities: list[Entity]


@dataclass(frozen=True)
class Chunk:
    """Consecutive records."""

    items: list[Record | BadRecord]
    end: int
    """Records of the input up to and with this chunk."""

    @property
    def mark(self) -> Mark:
        """How far the input was read when the last of them came out of it."""
        return self.items[-1].mark


def cut_chunks(items: Iterable[Record | BadRecord], start: int) -> Iterator[Chunk]:
    """Cut records into chunks of a bounded number of records and characters; a longer text is a chunk of its own.

    Parameters
    ----------
    items
        Records from number ``start`` on, which is the end of an earlier chunk or 0.
    start
        Records before them.
    """
    chunk: list[Record | BadRecord] = []
    characters = 0
    for item in items:
        length = len(item.text) if isinstance(item, Record) else 0
        if chunk and (len(chunk) == CHUNK_RECORDS or characters + length > CHUNK_CHARACTERS):
            start += len(chunk)
            yield Chunk(chunk, start)
            chunk, characters = [], 0
        chunk.append(item)
        characters += length
    if chunk:
        yield Chunk(chunk, start + len(chunk))
