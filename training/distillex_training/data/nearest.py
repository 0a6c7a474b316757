"""Of raw text, the sentences most like the labelled ones: what a teacher's labels are worth most on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BITS_OF_A_CODE_POINT = 21


def nearest_sentences(raw: Sequence[str], like: Sequence[str], count: int) -> list[str]:
    """Pick the raw sentences that a model of one text finds likely and one of the raw text does not.

    By the difference of cross-entropies (Moore and Lewis, *Intelligent Selection of Language Model Training Data*, ACL
    2010) under two models of character bigrams with add-one smoothing, made of equally much text: the counts of the raw
    text are scaled down, else a bigram that hardly occurs anywhere would speak for its sentence.

    Parameters
    ----------
    raw
        To pick from. What is in ``like`` too, and sentences of a single character, are never picked.
    like
        The text to be like.
    count
        How many to pick; fewer are returned where there are no more.

    Returns
    -------
    list of str
        In the order of ``raw``.
    """
    known = set(like)
    places = [place for place, sentence in enumerate(raw) if len(sentence) > 1 and sentence not in known]
    theirs, owner = _bigrams([raw[place] for place in places])
    ours, _ = _bigrams(like)
    if not len(theirs) or not len(ours):
        return []
    kinds, of_theirs = np.unique(theirs, return_inverse=True)
    scaled = _counts(kinds, theirs) * (len(ours) / len(theirs))
    gain = (np.log(_counts(kinds, ours) + 1) - np.log(scaled + 1))[of_theirs]
    score = np.bincount(owner, weights=gain) / np.bincount(owner)
    best = np.argsort(-score, kind="stable")[:count]
    return [raw[places[number]] for number in sorted(best.tolist())]


def _bigrams(sentences: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each bigram as a number, and the sentence that it is of. *Shape:* [N], [N]."""
    characters = np.frombuffer("".join(sentences).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    owner = np.repeat(np.arange(len(sentences)), [len(sentence) for sentence in sentences])
    pairs = (characters[:-1].astype(np.int64) << BITS_OF_A_CODE_POINT) | characters[1:]
    within = owner[:-1] == owner[1:]
    return pairs[within], owner[:-1][within]


def _counts(kinds: NDArray[np.int64], text: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how often each kind of bigram occurs in a text, given as its bigrams. *Shape:* [K]."""
    found, counts = np.unique(text, return_counts=True)
    place = np.minimum(np.searchsorted(found, kinds), len(found) - 1)
    occurring: NDArray[np.float64] = np.where(found[place] == kinds, counts[place], 0).astype(np.float64)
    return occurring
