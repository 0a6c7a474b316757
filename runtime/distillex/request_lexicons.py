"""The LEXICON of requests: parse JSON into lexicons, within limits, and cache the last ones."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from distillex_matcher import MAX_WORD_LENGTH, Lexicon, LexiconError

from distillex.errors import RefusedError
from distillex.strict_json import parse_json

MOST_CACHED = 256
MOST_CACHED_BYTES = 2**26
"""A lexicon of 64 KiB of JSON takes up to 4 MB where its characters are spread over all of Unicode."""


@dataclass(frozen=True)
class Limits:
    """What a request's own lexicon may hold; parameters of the Triton models have these names."""

    max_lexicon_entries: int = 1000
    max_lexicon_bytes: int = 65536
    max_lexicon_word_length: int = 64
    """Code points. A text in which every word of a long chain of them matches costs in proportion to this."""


UNLIMITED = Limits(10**7, 2**30, MAX_WORD_LENGTH)
"""Of callers in this process, who harm nobody else."""


class RequestLexicons:
    """Builds the lexicons of requests.

    Parameters
    ----------
    limits
        What is refused.
    check_types
        Raises LexiconError for a type that the model does not know.
    """

    def __init__(self, limits: Limits, check_types: Callable[[Lexicon], None]) -> None:
        self._limits = limits
        self._check_types = check_types
        self._lock = threading.Lock()
        self._cached: OrderedDict[bytes, Lexicon] = OrderedDict()
        self.cached_bytes = 0

    def __call__(self, content: bytes) -> Lexicon:
        """Return the lexicon of a row's LEXICON.

        Raises
        ------
        RefusedError
            Says what is wrong with it, and begins with LEXICON.
        """
        with self._lock:
            lexicon = self._cached.get(content)
            if lexicon is not None:
                self._cached.move_to_end(content)
                return lexicon
        lexicon = self._build(content)
        with self._lock:
            if content not in self._cached:
                self._cached[content] = lexicon
                self.cached_bytes += _size_bytes(content, lexicon)
            while len(self._cached) > MOST_CACHED or self.cached_bytes > MOST_CACHED_BYTES:
                self.cached_bytes -= _size_bytes(*self._cached.popitem(last=False))
        return lexicon

    def _build(self, content: bytes) -> Lexicon:
        limits = self._limits
        if len(content) > limits.max_lexicon_bytes:
            raise _refused(
                f"LEXICON has {len(content)} bytes; at most {limits.max_lexicon_bytes} are accepted (max_lexicon_bytes)"
            )
        words = parse_json(content, "LEXICON", "lexicon")
        if not isinstance(words, dict):
            raise _refused('LEXICON must be a JSON object {"word": "type", {"type": …, "trust": …} or null}')
        if len(words) > limits.max_lexicon_entries:
            raise _refused(
                f"LEXICON has {len(words)} entries; at most {limits.max_lexicon_entries} are accepted "
                "(max_lexicon_entries)"
            )
        longest = max(words, key=len, default="")
        if len(longest) > limits.max_lexicon_word_length:
            raise _refused(
                f"LEXICON: the word {longest[:20] + '…'!r} has {len(longest)} characters; at most "
                f"{limits.max_lexicon_word_length} are accepted (max_lexicon_word_length)"
            )
        try:
            lexicon = Lexicon.from_words(words)
            self._check_types(lexicon)
        except LexiconError as error:
            raise _refused(f"LEXICON: {error}") from None
        return lexicon


def _refused(message: str) -> RefusedError:
    return RefusedError(message, "lexicon")


def _size_bytes(content: bytes, lexicon: Lexicon) -> int:
    return len(content) + lexicon.size_bytes
