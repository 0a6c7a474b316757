"""The few fixed shapes in which a network runs on a GPU, so that each is prepared once.

A run of a shape that was not seen before would be measured, compiled or recorded first. So rows and tokens are rounded
up to the next bucket: on a GPU, padding costs less than another launch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BATCHES = (1, 8, 32, 64, 128, 256)
FEWEST_TOKENS = 32
"""Shorter texts take a GPU no less time."""
MOST_TOKENS = 256 * 128
"""Rows x tokens of the largest bucket: bounds the memory of a run."""
TRIED_TOKENS = 2048
"""The same where a CPU tries the buckets out."""


@dataclass(frozen=True, order=True)
class Bucket:
    """One shape."""

    tokens: int
    rows: int

    def __str__(self) -> str:
        return f"{self.rows} x {self.tokens}"


class Buckets:
    """The buckets of a network.

    Parameters
    ----------
    tokens
        Lengths that texts are padded to, as a feature layout's; of those below :data:`FEWEST_TOKENS` none is used
        while there are longer ones.
    batches, most_tokens
        Rows of a bucket; rows x tokens that none exceeds (of the longest texts there is a bucket of one row anyway).
    """

    def __init__(self, tokens: Sequence[int], batches: Sequence[int] = BATCHES, most_tokens: int = MOST_TOKENS) -> None:
        lengths = [length for length in sorted(set(tokens)) if length >= FEWEST_TOKENS] or [max(tokens)]
        self._rows = {
            length: [rows for rows in sorted({1, *batches}) if rows == 1 or rows * length <= most_tokens]
            for length in lengths
        }

    def __iter__(self) -> Iterator[Bucket]:
        """Yield all, the largest first: the memory that they take is found at once."""
        every = [Bucket(tokens, rows) for tokens, batches in self._rows.items() for rows in batches]
        return iter(sorted(every, key=lambda bucket: -bucket.rows * bucket.tokens))

    @property
    def longest(self) -> int:
        """Most tokens of a text."""
        return max(self._rows)

    def cover(self, rows: int, tokens: int) -> list[Bucket]:
        """Return the buckets in which so many rows are run, in order: all but the last one are full.

        Raises
        ------
        ValueError
            For more tokens than any bucket has.
        """
        length = next((length for length in self._rows if length >= tokens), None)
        if length is None:
            raise ValueError(f"{tokens} tokens: the longest bucket has {self.longest}")
        batches = self._rows[length]
        full, rest = divmod(rows, batches[-1])
        covered = [Bucket(length, batches[-1])] * full
        if rest:
            covered.append(Bucket(length, next(batch for batch in batches if batch >= rest)))
        return covered
