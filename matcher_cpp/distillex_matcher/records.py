"""The named tuples that the C++ core returns."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from distillex_matcher._core import TrustedWords


class Matches(NamedTuple):
    """All matches of a batch, one row a match, ordered by (text, start, end)."""

    text: NDArray[np.int32]
    """*Shape:* [M]. Index of the text in the batch."""
    start: NDArray[np.int32]
    """*Shape:* [M]. First code point of the match."""
    end: NDArray[np.int32]
    """*Shape:* [M]. One past the last code point."""
    entry: NDArray[np.int32]
    """*Shape:* [M]. Index of the word as it was given when the trie or lexicon was built."""

    def by_text(self, texts: int) -> Iterator[list[tuple[int, int, int]]]:
        """Yield the ``(start, end, entry)`` of each of the ``texts`` texts of the batch, in order; [] where none is.

        Examples
        --------
        >>> from distillex_matcher import DoubleArrayTrie
        >>> trie = DoubleArrayTrie(["北京", "大学"])
        >>> list(trie.find_batch(["北京大学", "上海", "大学"]).by_text(3))
        [[(0, 2, 0), (2, 4, 1)], [], [(0, 2, 1)]]
        """
        bounds = np.searchsorted(self.text, np.arange(texts + 1)).tolist()
        for begin, end in itertools.pairwise(bounds):
            columns = (column[begin:end].tolist() for column in (self.start, self.end, self.entry))
            yield list(zip(*columns, strict=True))


class LexiconEntry(NamedTuple):
    """One word of a lexicon, as it is after normalisation."""

    word: str
    type: str | None
    """None hides the word: an overlay entry of type None removes the base entry of the same word."""
    weight: float
    """In (0, 1]."""
    trust: str | float | None = None
    """A level (``hint``, ``prefer``, ``insist``), a number, or None: not said."""


class Refusal(NamedTuple):
    """Why a text, or what came with it, is refused."""

    reason: str
    """Of a closed set, for programs; of the core ``empty``, ``too_long``, ``not_utf8``, ``lexicon`` or ``other``."""
    message: str
    """One sentence for people."""


class Features(NamedTuple):
    """Padded model inputs of a batch. The row of a bad text is all padding, with length 0 and an error."""

    input_ids: NDArray[np.int32]
    """*Shape:* [B, T]. ``[CLS]``, characters, ``[SEP]``, then padding (0)."""
    lexicon_types: NDArray[np.int32]
    """*Shape:* [B, T, 4, K]. Slots Begin, Middle, End, Single; 0 = none, else 1 + index in the featurizer's types."""
    lexicon_words: NDArray[np.int32]
    """*Shape:* [B, T, 4, K]. Hashed word id in 1 .. word_hash_size - 1; 0 = none, or a word of an overlay."""
    lexicon_weights: NDArray[np.float32]
    """*Shape:* [B, T, 4, K]. 0 = none."""
    lengths: NDArray[np.int32]
    """*Shape:* [B, 1]. Real tokens, ``[CLS]`` and ``[SEP]`` included; 0 for a bad text."""
    errors: list[Refusal | None]
    """Per row: None, or what is wrong with this text."""
    trusted: TrustedWords
    """Words of overlays that the decoder is to obey."""

    @property
    def occurring_words(self) -> NDArray[np.int32]:
        """Word ids where a word begins, so that each occurrence counts once. *Shape:* [B, T, 2, K]."""
        begin_and_single = [0, 3]
        return self.lexicon_words[:, :, begin_and_single]


class Spans(NamedTuple):
    """Decoded spans of a batch, ordered by (row, start); offsets are code points of the text."""

    row: NDArray[np.int32]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    type: NDArray[np.int32]
    """Index into ``LabelScheme.entity_types``."""
    score: NDArray[np.float32]
    """Posterior probability of exactly this span under the constrained CRF."""
