"""The base lexicon: jieba's dictionary, plus any typed word lists laid over it."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from distillex_matcher._core import MAX_WORD_LENGTH, Lexicon, normalize
from distillex_matcher.errors import LexiconError

MIN_BASE_WORD_LENGTH = 2
"""A single character is found everywhere; jieba has 11,580 of them."""


def jieba_dictionary_path() -> Path:
    """Path of the dictionary that the installed ``jieba`` package carries.

    Raises
    ------
    LexiconError
        When jieba is not installed.
    """
    # find_spec, not import: importing jieba pulls in pkg_resources and sets up logging.
    spec = importlib.util.find_spec("jieba")
    if spec is None or not spec.submodule_search_locations:
        raise LexiconError("the base lexicon is built from the jieba package: pip install 'distillex[lexicon]'")
    return Path(spec.submodule_search_locations[0]) / "dict.txt"


def read_jieba_dictionary(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield ``(word, tag, frequency)`` of each ``word frequency tag`` line.

    Raises
    ------
    LexiconError
        For a line of another form, or a word over ``MAX_WORD_LENGTH``; names the file and the line.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            fields = line.split()
            if len(fields) != 3 or not fields[1].isdigit():
                raise LexiconError(
                    f"{path}:{number}: {line.rstrip()!r} is not 'word frequency tag' (jieba's dictionary format)"
                )
            if len(fields[0]) > MAX_WORD_LENGTH:
                raise LexiconError(
                    f"{path}:{number}: the word {fields[0][:40] + '…'!r} has {len(fields[0])} code points; at most "
                    f"{MAX_WORD_LENGTH} are accepted"
                )
            yield fields[0], fields[2], int(fields[1])


def base_entries(
    dictionary: Iterable[tuple[str, str, int]], left_out: list[str] | None = None
) -> dict[str, tuple[str, float]]:
    """Map each normalised word of at least 2 code points to its tag and weight; ``left_out`` gets the others.

    The weight is ``log(1 + frequency) / log(1 + highest frequency)``, in (0, 1]. Of two spellings that are
    equal after normalisation (``IBM`` and ``ibm``), the more frequent one counts, the earlier one on a tie.
    """
    frequencies: dict[str, tuple[str, int]] = {}
    for word, tag, frequency in dictionary:
        key = normalize(word)
        if len(key) < MIN_BASE_WORD_LENGTH:
            if left_out is not None:
                left_out.append(word)
            continue
        if key not in frequencies or frequency > frequencies[key][1]:
            frequencies[key] = (tag, max(frequency, 1))
    if not frequencies:
        return {}
    scale = math.log1p(max(frequency for _, frequency in frequencies.values()))
    return {word: (tag, math.log1p(frequency) / scale) for word, (tag, frequency) in frequencies.items()}


def build_base_lexicon(
    typed_word_lists: Iterable[Path] = (),
    *,
    dictionary: Path | None = None,
    name: str = "base",
    version: int = 1,
    left_out: list[str] | None = None,
) -> Lexicon:
    """Build the base lexicon; the same inputs give the same bytes when saved.

    Parameters
    ----------
    typed_word_lists
        TSV files ``word<TAB>type[<TAB>weight]``; a word in them replaces jieba's, a later file wins over an
        earlier one, type ``null`` removes the word.
    dictionary
        A file in jieba's format; by default the installed package's own.
    name, version
        Written into the file, and shown as ``name@version`` where the lexicon is used.
    left_out
        Gets the words of the dictionary that are none of the lexicon: those of one character.

    Raises
    ------
    LexiconError
        For a missing jieba, a malformed line or a word over ``MAX_WORD_LENGTH``.
    """
    words: dict[str, tuple[str, float]] = base_entries(
        read_jieba_dictionary(dictionary or jieba_dictionary_path()), left_out
    )
    for path in typed_word_lists:
        for entry in Lexicon.from_tsv(path):
            if entry.type is None:
                words.pop(entry.word, None)
            else:
                words[entry.word] = (entry.type, entry.weight)
    ordered = sorted(words.items())
    return Lexicon.from_entries(
        ((word, type_name, weight) for word, (type_name, weight) in ordered), name=name, version=version
    )


__all__ = [
    "MIN_BASE_WORD_LENGTH",
    "base_entries",
    "build_base_lexicon",
    "jieba_dictionary_path",
    "read_jieba_dictionary",
]
