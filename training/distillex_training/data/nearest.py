"""Of raw text, the sentences most like the labelled ones: what a teacher's labels are worth most on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BITS_OF_A_CODE_POINT = 21


def nearest_sentences(raw: Sequence[str], like: Sequence[str], count: int) -> list[str]:
    """Pick the raw sentences that a model of one text finds likely and one of the raw text does not.

    By the difference of cross-entropies (Moore and Lewis, *Intelligent Selection of Language Model Training Data*, ACL
    2010) under two models of character bigrams with add-one smoothing.

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
    if not places:
        return []
    theirs, owner = _bigrams([raw[place] for place in places])
    ours, _ = _bigrams([sentence for sentence in like if len(sentence) > 1])
    kinds, of_theirs = np.unique(theirs, return_inverse=True)
    gain = (_log_probabilities(kinds, ours) - _log_probabilities(kinds, theirs))[of_theirs]
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


def _log_probabilities(kinds: NDArray[np.int64], text: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how likely each kind of bigram is in a text, given as its bigrams. *Shape:* [K]."""
    found, counts = np.unique(text, return_counts=True)
    of_kinds = np.zeros(len(kinds))
    place = np.searchsorted(found, kinds)
    inside = place < len(found)
    inside[inside] = found[place[inside]] == kinds[inside]
    of_kinds[inside] = counts[place[inside]]
    result: NDArray[np.float64] = np.log((of_kinds + 1) / (len(text) + len(kinds)))
    return result
