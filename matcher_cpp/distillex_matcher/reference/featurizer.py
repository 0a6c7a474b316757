"""The feature layout of one text, slot by slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from distillex_matcher._core import hash_word
from distillex_matcher.reference.fold import fold, single_spaced
from distillex_matcher.reference.matching import stands_alone

BEGIN, MIDDLE, END, SINGLE = range(4)

TypedWords = Mapping[str, "tuple[str | None, float]"]
"""Folded word (:func:`~distillex_matcher.reference.fold.fold_word`) → (type, weight); type None hides."""


class Word(NamedTuple):
    """A word in a slot of a character."""

    type_id: int
    word_id: int
    weight: float


def featurize_text(
    text: str,
    vocabulary: Sequence[str],
    types: Sequence[str],
    base: TypedWords,
    overlays: Sequence[TypedWords],
    word_hash_size: int,
    words_per_slot: int,
    *,
    word_boundaries: bool = False,
    lowercase: bool = True,
) -> tuple[list[int], dict[tuple[int, int], list[Word]]]:
    """Return the token ids (``[CLS]`` … ``[SEP]``) and the words of each (token, slot) that has any."""
    normal = fold(text, lowercase=lowercase)
    ids = {token: index for index, token in enumerate(vocabulary)}
    unknown = ids["[UNK]"]
    tokens = [ids["[CLS]"]]
    tokens += [ids.get("▁", unknown) if c == " " else ids.get(c, unknown) for c in normal]
    tokens.append(ids["[SEP]"])

    found: list[tuple[float, int, int, Word]] = []
    # A run of spaces counts as one, and whole.
    bounds = [i for i in range(len(normal) + 1) if normal[max(0, i - 1) : i + 1] != "  "]
    for first, start in enumerate(bounds):
        for end in bounds[first + 1 :]:
            if word_boundaries and not stands_alone(normal, start, end):
                continue
            word = single_spaced(fold(normal[start:end]))
            for number, lexicon in enumerate((*reversed(overlays), base)):
                if word in lexicon:
                    kind, weight = lexicon[word]
                    if kind is not None:
                        word_id = hash_word(word, word_hash_size) if number == len(overlays) else 0
                        found.append((weight, start, end, Word(types.index(kind) + 1, word_id, weight)))
                    break
    found.sort(key=lambda match: (-match[0], match[1] - match[2], match[1]))

    slots: dict[tuple[int, int], list[Word]] = {}
    for _, start, end, word_features in found:
        places = [(start, SINGLE)] if end - start == 1 else [(start, BEGIN), (end - 1, END)]
        places += [(i, MIDDLE) for i in range(start + 1, end - 1)]
        for character, slot in places:
            words = slots.setdefault((character + 1, slot), [])
            if len(words) < words_per_slot:
                words.append(word_features)
    return tokens, slots
