"""Which overlay words get a trust bonus, and how large it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from distillex_matcher._core import LabelScheme
from distillex_matcher.reference.span_edges import sound_part

INSIST_BONUS = 40.0
COVERING_LESS = 2.0

Match = tuple[int, int, "str | None", "str | float"]
"""Start, end, type (None hides), trust."""
TrustedWord = tuple[int, int, str, "str | float"]


def obeyed_words(overlays: Sequence[Sequence[Match]], base: Sequence[tuple[int, int, str]]) -> list[TrustedWord]:
    """Return the words of a text that the decoder is to obey, ordered by (start, end).

    Parameters
    ----------
    overlays
        The matches of each overlay, the lowest first; their trust is said.
    base
        Matches of the base lexicon.
    """
    top: dict[tuple[int, int], tuple[str | None, str | float]] = {}
    for overlay in overlays:
        top.update({(start, end): (kind, trust) for start, end, kind, trust in overlay})
    words = [
        (start, end, kind, trust)
        for (start, end), (kind, trust) in sorted(top.items())
        if kind is not None and trust not in ("hint", 0)
    ]

    def spoken_against(word: TrustedWord) -> bool:
        start, end, kind, _ = word
        for begin, stop, known in base:
            if (begin, stop) == (start, end):
                if known != kind:
                    return True
            elif (begin, stop) not in top and begin < end and start < stop and not (start <= begin and stop <= end):
                return True
        return False

    def takes_place_of(other: TrustedWord, word: TrustedWord) -> bool:
        covered = word[0] <= other[0] and other[1] <= word[1]
        overlap = word[2] == other[2] and word[0] < other[1] and other[0] < word[1]
        return overlap and not (covered and other[3] == "insist" and word[3] != "insist")

    obeyed = [word for word in words if word[3] != "prefer" or not spoken_against(word)]
    kept: list[TrustedWord] = []
    for word in sorted(obeyed, key=lambda word: (word[3] != "insist", word[0] - word[1], word[0])):
        if not any(takes_place_of(other, word) for other in kept):
            kept.append(word)
    return sorted(kept)


def with_bonus(
    scheme: LabelScheme, emissions: NDArray[np.float32], text: str, words: Sequence[TrustedWord], prefer: float
) -> NDArray[np.float32]:
    """Return emissions [C, L] of a text with what its words are trusted with added."""
    raised = emissions.copy()
    labels = {label: i for i, label in enumerate(scheme.labels)}
    for start, end, kind, trust in words:
        if kind not in scheme.entity_types:
            continue
        left, right = sound_part(text[start:end], begins_text=start == 0)
        start, end = start + left, start + right
        if start == end:
            continue
        insisted = trust == "insist"
        whole = prefer if trust == "prefer" else trust
        bonus = INSIST_BONUS if insisted else float(whole) / (end - start)
        covered = 0.0
        if start > 0 and text[start - 1] == "《" and text[end : end + 1] == "》":
            covered = bonus
        elif insisted:
            covered = bonus - COVERING_LESS
        places = ["S"] if end - start == 1 else ["B", *"I" * (end - start - 2), "E"]
        for place, position in zip(places, range(start, end), strict=True):
            raised[position, labels[f"{place}-{kind}"]] += np.float32(bonus)
            if place != "I":
                raised[position, labels[f"I-{kind}"]] += np.float32(covered)
            if place == "S" and insisted:
                raised[position, labels[f"B-{kind}"]] += np.float32(covered)
                raised[position, labels[f"E-{kind}"]] += np.float32(covered)
    return raised


def keep_to_edges(
    scheme: LabelScheme,
    emissions: NDArray[np.float32],
    text: str,
    best: Callable[[NDArray[np.float32]], list[tuple[int, int, str]]],
    attempts: int = 4,
    forbidden: float = -30.0,
) -> tuple[NDArray[np.float32], list[tuple[int, int, str]]]:
    """Return the emissions by which a text was decoded in the end, and its spans.

    ``best`` gives the spans of emissions. A span that may not stand is forbidden to begin, or to end, where it does,
    and the text decoded again; what remains after ``attempts`` is cut down to its sound part.
    """
    raised = emissions.copy()
    spans = best(raised)
    for _ in range(attempts):
        parts = [sound_part(text[start:end], begins_text=start == 0) for start, end, _ in spans]
        wrong = [(span, part) for span, part in zip(spans, parts, strict=True) if part != (0, span[1] - span[0])]
        if not wrong:
            return raised, spans
        for (start, end, _), (left, right) in wrong:
            size = end - start
            nothing = left == right
            places = [("B", start + k) for k in range(size if nothing else left)]
            places += [("E", start + k) for k in range(0 if nothing else right, size)]
            for edge, position in places:
                for i, label in enumerate(scheme.labels):
                    if label[0] in (edge, "S"):
                        raised[position, i] += np.float32(forbidden)
        spans = best(raised)
    cut = []
    for start, end, kind in spans:
        left, right = sound_part(text[start:end], begins_text=start == 0)
        if left < right:
            cut.append((start + left, start + right, kind))
    return raised, cut
