"""Raw text for masked-language-model training: tokenised once into memory-mapped files, packed afresh each epoch."""

from __future__ import annotations

import bisect
import hashlib
import json
import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from distillex_matcher import FeatureLayout, Lexicon
from distillex_matcher.layout import write_atomically
from numpy.typing import NDArray

from distillex_training.data.raw import is_json
from distillex_training.errors import DataError
from distillex_training.masking import segment_words

LOG = logging.getLogger("distillex.training")
BLOCK = 2000
"""Sentences tokenised at once: memory does not grow with the corpus."""
LARGEST_UINT16 = 65535
META, OFFSETS, TOKENS, WORD_STARTS = FILES = ("meta.json", "offsets.npy", "tokens.bin", "word-starts.bin")


def stream_raw(paths: Sequence[Path], longest: int) -> Iterator[str]:
    """Yield the non-empty lines of text files; a line longer than ``longest`` code points comes in several pieces.

    Raises
    ------
    DataError
        For a file that is missing, not UTF-8, or JSON.
    """
    for path in paths:
        try:
            with path.open(encoding="utf-8-sig", newline="\n") as file:
                for number, line in enumerate(file):
                    if not number and is_json(line):
                        raise DataError(f"{path}:1: JSON, not a sentence")
                    text = line.strip()
                    for begin in range(0, len(text), longest):
                        yield text[begin : begin + longest]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: {error}") from None


class TokenCorpus:
    """Token ids and word starts of raw sentences, memory-mapped: any size of text, read at random."""

    def __init__(self, directory: Path) -> None:
        """Open a folder.

        Raises
        ------
        OSError, ValueError
            For files that are missing or not whole.
        """
        meta = json.loads((directory / META).read_text(encoding="utf-8"))
        self._offsets: NDArray[np.int64] = np.load(directory / OFFSETS)
        self._ids = np.memmap(directory / TOKENS, dtype=meta["dtype"], mode="r")
        self._starts = np.memmap(directory / WORD_STARTS, dtype=np.bool_, mode="r")
        if len(self._ids) != self.tokens or len(self._starts) != self.tokens:
            raise ValueError(f"{len(self._ids)} tokens and {len(self._starts)} word starts, not {self.tokens} of each")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @property
    def tokens(self) -> int:
        """Characters of all sentences."""
        return int(self._offsets[-1])

    def length(self, sentence: int) -> int:
        """Characters of one sentence."""
        return int(self._offsets[sentence + 1] - self._offsets[sentence])

    def sentence(self, index: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the token ids of a sentence, and where its words start. *Shape:* [characters] both."""
        begin, end = self._offsets[index], self._offsets[index + 1]
        return self._ids[begin:end].astype(np.int64), np.asarray(self._starts[begin:end])


def tokenise(
    directory: Path, paths: Sequence[Path], vocabulary: tuple[str, ...], lexicon: Lexicon | None, longest: int
) -> TokenCorpus:
    """Tokenise raw text into ``directory``, or open what the same call wrote before.

    Parameters
    ----------
    directory
        Folder of the files; rewritten when text, vocabulary, lexicon or length differ from what it holds.
    paths
        Raw text, one sentence a line.
    vocabulary
        Tokens by id.
    lexicon
        Words for whole-word masking; None makes each character its own word.
    longest
        Longer sentences are cut into pieces of so many characters.

    Raises
    ------
    DataError
        For text that cannot be read, or a folder that holds something else.
    """
    key = _key(paths, vocabulary, lexicon, longest)
    try:
        if json.loads((directory / META).read_text(encoding="utf-8"))["key"] == key:
            return TokenCorpus(directory)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        LOG.warning("%s is damaged (%s): the text is tokenised anew", directory, error)
    _clear(directory)
    dtype = np.dtype(np.uint16 if len(vocabulary) <= LARGEST_UINT16 else np.uint32)
    # Lookup of characters as in serving: the featurizer's, without any lexicon.
    bucket = max(16, longest + 2)
    featurizer = FeatureLayout(vocabulary, types=("none",), word_hash_size=2, buckets=(bucket,)).featurizer()
    lengths: list[int] = []
    with (directory / TOKENS).open("wb") as ids, (directory / WORD_STARTS).open("wb") as starts:
        for texts in _blocks(stream_raw(paths, longest)):
            features = featurizer.featurize(texts)
            segments = segment_words(texts, lexicon)
            for row, text in enumerate(texts):
                ids.write(features.input_ids[row, 1 : 1 + len(text)].astype(dtype).tobytes())
                starts.write(segments[row].tobytes())
                lengths.append(len(text))
    if not lengths:
        raise DataError(f"no text in {', '.join(map(str, paths))}")
    np.save(directory / OFFSETS, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    write_atomically(directory / META, json.dumps({"key": key, "dtype": dtype.name}))  # last: it says complete
    return TokenCorpus(directory)


def _clear(directory: Path) -> None:
    """Make a folder for a corpus, an earlier corpus in it removed and nothing else."""
    directory.mkdir(parents=True, exist_ok=True)
    found = list(directory.iterdir())
    others = [path.name for path in found if path.name not in FILES]
    if others:
        raise DataError(f"{directory} holds {', '.join(sorted(others)[:3])}, which is no tokenised text: move it away")
    for path in found:
        path.unlink()


def pack(lengths: Sequence[int], capacity: int, generator: random.Random, open_sequences: int = 64) -> list[list[int]]:
    """Pack sentences in random order into sequences, best fit first; sentences stay whole.

    Parameters
    ----------
    lengths
        Characters of each sentence, at most ``capacity - 1``.
    capacity
        Room of a sequence, where a sentence takes one more than its length (its ``[SEP]``).
    generator
        Decides the order of sentences and sequences.
    open_sequences
        How many sequences wait for a sentence that fits; more leave less padding and cost more time.

    Returns
    -------
    list
        Indices into ``lengths``, a list a sequence.
    """
    order = list(range(len(lengths)))
    generator.shuffle(order)
    waiting: list[tuple[int, int]] = []  # (room left, sequence), sorted
    packed: list[list[int]] = []
    for index in order:
        needed = lengths[index] + 1
        fit = bisect.bisect_left(waiting, (needed, -1))
        if fit < len(waiting):
            room, sequence = waiting.pop(fit)
            packed[sequence].append(index)
        else:
            room, sequence = capacity, len(packed)
            packed.append([index])
        bisect.insort(waiting, (room - needed, sequence))
        if len(waiting) > open_sequences:
            waiting.pop(0)  # the fullest
    generator.shuffle(packed)
    return packed


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for text in texts:
        block.append(text)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


def _key(paths: Sequence[Path], vocabulary: tuple[str, ...], lexicon: Lexicon | None, longest: int) -> str:
    digest = hashlib.sha256("\n".join(vocabulary).encode())
    digest.update(f"{longest} {lexicon.checksum if lexicon is not None else None}".encode())
    for path in paths:
        try:
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
        except OSError as error:
            raise DataError(f"{path}: {error}") from None
    return digest.hexdigest()
