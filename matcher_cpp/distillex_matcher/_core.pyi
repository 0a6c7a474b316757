"""Typed interface of the C++ core (``distillex_matcher._core``).

All offsets are Unicode code points, end-exclusive. All functions that take a batch release the GIL.
"""

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PADDING_ID: int
"""Token id of padding: 0, always the first row of the vocabulary (``[PAD]``)."""

class LexiconError(ValueError):
    """A lexicon file, entry or type is invalid; the message names the value and what is accepted."""

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

class DoubleArrayTrie:
    """Set of words that finds all of its words, overlapping ones included, in a text."""

    def __init__(self, words: Iterable[str]) -> None: ...
    def __len__(self) -> int: ...
    def __contains__(self, word: str) -> bool: ...
    def lookup(self, word: str) -> int | None:
        """Index of ``word`` in the order in which words were given, or None."""

    def find(self, text: str) -> list[tuple[int, int, int]]:
        """All ``(start, end, entry)`` of one text, ordered by (start, end)."""

    def find_batch(self, texts: Sequence[str], threads: int = 1) -> Matches: ...
    @property
    def size_bytes(self) -> int: ...

class LexiconEntry(NamedTuple):
    word: str
    type: str | None
    """None hides the word: an overlay entry of type None removes the base entry of the same word."""
    weight: float

class Lexicon:
    """Words with a type and a weight in (0, 1]; immutable once built; memory-mapped when loaded."""

    @staticmethod
    def from_entries(
        entries: Iterable[tuple[str, str | None, float]], *, name: str = "", version: int = 0
    ) -> Lexicon:
        """Build from ``(word, type, weight)``. A repeated word, an empty word, a word over
        ``MAX_WORD_LENGTH`` code points or a weight outside (0, 1] raises :class:`LexiconError`."""

    @staticmethod
    def from_words(words: dict[str, str | None], *, weight: float = 1.0) -> Lexicon:
        """The fast way for a request's own words: ``{"word": "type", …}``, one weight for all."""

    @staticmethod
    def from_tsv(path: str | PathLike[str], *, name: str = "", version: int = 0) -> Lexicon:
        """Read ``word<TAB>type[<TAB>weight]`` lines (UTF-8; ``#`` starts a comment line). Type ``null`` or ``-`` hides."""

    @staticmethod
    def load(path: str | PathLike[str]) -> Lexicon:
        """Memory-map a file written by :meth:`save`. Truncated, corrupted or newer-version files raise :class:`LexiconError`."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write one versioned, checksummed file, atomically (write beside, fsync, rename)."""

    def __len__(self) -> int: ...
    def __contains__(self, word: str) -> bool: ...
    def __iter__(self) -> Iterator[LexiconEntry]:
        """Entries in the order in which they were given."""

    def __getitem__(self, entry: int) -> LexiconEntry: ...
    def lookup(self, word: str) -> int | None: ...
    def find(self, text: str) -> list[tuple[int, int, int]]: ...
    def find_batch(self, texts: Sequence[str], threads: int = 1) -> Matches: ...
    @property
    def types(self) -> tuple[str, ...]:
        """The type names in use (without the hiding type), in order of first use."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def checksum(self) -> str:
        """Hexadecimal checksum of the content (equal content, equal checksum)."""

    @property
    def size_bytes(self) -> int: ...

MAX_WORD_LENGTH: int

class Features(NamedTuple):
    """Padded model inputs of a batch. Row b of a bad text is all padding with LENGTH 0 and an error."""

    input_ids: NDArray[np.int32]
    """*Shape:* [B, T]. ``[CLS]`` characters ``[SEP]`` then padding (0)."""
    lexicon_types: NDArray[np.int32]
    """*Shape:* [B, T, 4, K]. Slots Begin, Middle, End, Single; 0 = none; else 1 + index in the featurizer's types."""
    lexicon_words: NDArray[np.int32]
    """*Shape:* [B, T, 4, K]. Hashed word id in 1 .. word_hash_size-1; 0 = none or an overlay's word."""
    lexicon_weights: NDArray[np.float32]
    """*Shape:* [B, T, 4, K]. 0 = none."""
    lengths: NDArray[np.int32]
    """*Shape:* [B, 1]. Real tokens, ``[CLS]`` and ``[SEP]`` included; 0 for a bad text."""
    errors: list[str | None]
    """Per row: None, or one sentence that says what is wrong with this text."""

class Featurizer:
    """Texts + vocabulary + lexicons → padded, bucketed tensors; the one place that knows the feature layout.

    A token is one code point; token ``i + 1`` is code point ``i`` (token 0 is ``[CLS]``). Characters are
    normalised one code point to one code point before the vocabulary and the lexicon see them
    (:func:`normalize`); lexicon words are normalised in the same way when a lexicon is built.

    In each slot a character keeps its ``words_per_slot`` heaviest words: by weight, then the longer
    word, then the earlier start. An overlay's word replaces the base word of the same spelling;
    a later overlay wins over an earlier one; type None hides.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        types: Sequence[str],
        *,
        word_hash_size: int = 32768,
        words_per_slot: int = 4,
        buckets: Sequence[int] = (16, 32, 64, 128, 256, 512),
        base: Lexicon | None = None,
    ) -> None:
        """``vocabulary``: tokens by id; must hold ``[PAD]`` (at 0), ``[UNK]``, ``[CLS]``, ``[SEP]``; white space is the
        token ``▁`` where the vocabulary has it. ``types``: the closed set of type names that the model was trained with."""

    def with_base(self, base: Lexicon | None) -> Featurizer:
        """A featurizer that shares everything but the base lexicon (cheap)."""

    def check_types(self, lexicon: Lexicon) -> None:
        """Raise :class:`LexiconError` naming the lexicon's unknown types and listing the known ones."""

    def featurize(
        self,
        texts: Sequence[str | bytes],
        overlays: Sequence[Sequence[Lexicon]] | None = None,
        *,
        strict: bool = True,
    ) -> Features:
        """Features of a batch, padded to the smallest bucket that holds its longest text.

        Parameters
        ----------
        texts
            ``str``, or UTF-8 ``bytes`` (checked).
        overlays
            Per text, lexicons laid over the base one, later ones on top. None: no overlays.
        strict
            True: raise ``ValueError`` for the first bad text (empty, too long, not UTF-8, lone
            surrogate, NUL), naming its row. False: report it in ``errors`` and go on.
        """

    @property
    def max_text_length(self) -> int:
        """Longest text in code points: the largest bucket minus 2."""

    @property
    def vocabulary(self) -> tuple[str, ...]: ...
    @property
    def types(self) -> tuple[str, ...]: ...
    @property
    def word_hash_size(self) -> int: ...
    @property
    def words_per_slot(self) -> int: ...
    @property
    def buckets(self) -> tuple[int, ...]: ...
    @property
    def base(self) -> Lexicon | None: ...

def normalize(text: str) -> str:
    """Lower case, full width to half width, every white space to one plain space; one code point to one code point."""

def hash_word(word: str, word_hash_size: int) -> int:
    """Hashed word id in 1 .. word_hash_size - 1 of a (normalised) word."""

class LabelScheme:
    """BIOES labels of a list of entity types: ``O, B-t0, I-t0, E-t0, S-t0, B-t1, …``; L = 1 + 4 × types."""

    def __init__(self, entity_types: Sequence[str]) -> None: ...
    @property
    def entity_types(self) -> tuple[str, ...]: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
    def encode(self, spans: Sequence[tuple[int, int, str]], length: int) -> NDArray[np.int64]:
        """Label ids [length] of non-overlapping spans ``(start, end, type)``; raises ValueError for a bad or overlapping span."""

    def decode(self, labels: Sequence[int] | NDArray[np.integer]) -> list[tuple[int, int, str]]:
        """Spans of a label sequence that obeys the scheme; ValueError where it does not."""

    @property
    def allowed_transitions(self) -> NDArray[np.bool_]:
        """*Shape:* [L, L]. ``[i, j]``: label j may follow label i."""

    @property
    def allowed_starts(self) -> NDArray[np.bool_]:
        """*Shape:* [L]."""

    @property
    def allowed_ends(self) -> NDArray[np.bool_]:
        """*Shape:* [L]."""

class Spans(NamedTuple):
    """Decoded spans of a batch, ordered by (row, start). Offsets are code points of the text (without ``[CLS]``)."""

    row: NDArray[np.int32]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    type: NDArray[np.int32]
    """Index into ``LabelScheme.entity_types``."""
    score: NDArray[np.float32]
    """Posterior probability of exactly this span under the constrained CRF."""

class CrfDecoder:
    """Linear-chain CRF under the BIOES constraints of a label scheme (Viterbi, forward–backward)."""

    def __init__(
        self,
        scheme: LabelScheme,
        transitions: NDArray[np.float32],
        start: NDArray[np.float32],
        end: NDArray[np.float32],
    ) -> None:
        """``transitions`` [L, L] (from, to), ``start`` [L], ``end`` [L], all finite, as in pytorch-crf."""

    @property
    def scheme(self) -> LabelScheme: ...
    def decode(self, emissions: NDArray[np.float32], lengths: NDArray[np.int32], threads: int = 1) -> Spans:
        """Best spans. ``emissions`` [B, T, L]; ``lengths`` [B] or [B, 1], ``[CLS]``/``[SEP]`` included as the featurizer
        gives them: the CRF runs over tokens 1 .. length-2. Length 0, 1 or 2 gives no span."""

    def viterbi(self, emissions: NDArray[np.float32], lengths: NDArray[np.int32]) -> list[NDArray[np.int64]]:
        """Best label ids per row, one array [length - 2] a row."""

    def marginals(self, emissions: NDArray[np.float32], lengths: NDArray[np.int32]) -> NDArray[np.float32]:
        """*Shape:* [B, T, L]. Posterior marginals; 0 outside tokens 1 .. length-2."""

    def entities_json(
        self, emissions: NDArray[np.float32], lengths: NDArray[np.int32], texts: Sequence[bytes]
    ) -> list[bytes]:
        """Per row, the JSON list of ``{"start","end","type","text","score"}`` that clients get (UTF-8, not ASCII-escaped).
        ``texts``: the callers' own UTF-8 texts, from which ``text`` is cut."""
