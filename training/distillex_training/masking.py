"""What a masked language model has to guess: whole words of a lexicon, or single characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from distillex_matcher import Lexicon
from numpy.typing import NDArray

from distillex_training.data.vocabulary import MASK_ID, SPECIAL_TOKENS

FIRST_TARGET = SPECIAL_TOKENS.index("▁")
"""Tokens before this one ([PAD], [UNK], [CLS], [SEP], [MASK]) are never to be guessed."""


@dataclass(frozen=True)
class Masked:
    """Sequences with some tokens hidden."""

    input_ids: NDArray[np.int64]
    """*Shape:* [B, T]."""
    positions: NDArray[np.int64]
    """Where to guess: indices into the flattened [B * T]. *Shape:* [M]."""
    targets: NDArray[np.int64]
    """The tokens that stood there. *Shape:* [M]."""


def segment_words(texts: Sequence[str], lexicon: Lexicon | None) -> list[NDArray[np.bool_]]:
    """Cut texts into words by the longest match from the left; what no word covers stands alone.

    Returns
    -------
    list
        For each text, True where a word starts. *Shape:* [characters].
    """
    starts = [np.ones(len(text), dtype=np.bool_) for text in texts]
    if lexicon is None:
        return starts
    matches = lexicon.find_batch(texts)
    longest: list[dict[int, int]] = [{} for _ in texts]
    for text, start, end in zip(matches.text.tolist(), matches.start.tolist(), matches.end.tolist(), strict=True):
        longest[text][start] = end  # ordered by (text, start, end): the last is the longest
    for row, ends in enumerate(longest):
        position, length = 0, len(texts[row])
        while position < length:
            end = ends.get(position, position + 1)
            starts[row][position + 1 : end] = False
            position = end
    return starts


def mask_tokens(
    input_ids: NDArray[np.int64],
    word_starts: NDArray[np.bool_],
    vocabulary: int,
    generator: np.random.Generator,
    share: float = 0.15,
) -> Masked:
    """Hide whole words at random until ``share`` of the tokens is reached.

    Of the chosen tokens 80 % become ``[MASK]``, 10 % a random token, 10 % stay (Devlin et al., NAACL 2019); words are
    chosen whole (Cui et al., *Pre-Training with Whole Word Masking for Chinese BERT*, 2021).

    Parameters
    ----------
    input_ids
        *Shape:* [B, T].
    word_starts
        True where a word, or a token that belongs to none, starts. *Shape:* [B, T].
    vocabulary
        Tokens from this id on are neither hidden nor drawn.
    generator
        The only source of chance.
    share
        Of the tokens that can be guessed.
    """
    flat = input_ids.reshape(-1)
    words = np.cumsum(word_starts.reshape(-1)) - 1
    eligible = (flat >= FIRST_TARGET) & (flat < vocabulary)
    sizes = np.bincount(words, weights=eligible, minlength=int(words[-1]) + 1).astype(np.int64)
    order = generator.permutation(len(sizes))
    order = order[sizes[order] > 0]
    budget = max(1, round(share * int(eligible.sum())))
    count = max(1, int(np.searchsorted(np.cumsum(sizes[order]), budget, side="right")))
    chosen = np.zeros(len(sizes), dtype=np.bool_)
    chosen[order[:count]] = True
    positions = np.flatnonzero(chosen[words] & eligible)
    targets = flat[positions]
    draw = generator.random(len(positions))
    noise = generator.integers(FIRST_TARGET + 1, vocabulary, len(positions))
    shown = np.where(draw < 0.8, MASK_ID, np.where(draw < 0.9, noise, targets))
    hidden = flat.copy()
    hidden[positions] = shown
    return Masked(hidden.reshape(input_ids.shape), positions, targets)
