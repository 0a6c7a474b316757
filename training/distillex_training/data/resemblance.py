"""Find nearly identical sentences: those that share most of their character pairs.

The resemblance of two texts is the size of the intersection of their sets of shingles over that of the union (Broder,
*On the Resemblance and Containment of Documents*, 1997); here a shingle is two characters, after normalisation.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from distillex_training.data.convert import text_key

RESEMBLANCE = 0.6
"""From which two sentences are alike: those of 20 characters, where one word of three is exchanged (0.68)."""


class Resembling:
    """Texts by their pairs of characters, to be asked for one that resembles another."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._sizes: list[int] = []
        self._texts_with: dict[str, list[int]] = defaultdict(list)

    def add(self, text: str) -> None:
        """Remember a text."""
        pairs = _pairs(text)
        for pair in pairs:
            self._texts_with[pair].append(len(self._sizes))
        self._sizes.append(len(pairs))

    def holds(self, text: str) -> bool:
        """Tell whether a remembered text resembles this one."""
        if self._threshold > 1:
            return False
        pairs = _pairs(text)
        shared = Counter(other for pair in pairs for other in self._texts_with.get(pair, ()))
        return any(
            count >= self._threshold * (len(pairs) + self._sizes[other] - count) for other, count in shared.items()
        )


def _pairs(text: str) -> set[str]:
    key = f"\0{text_key(text)}\0"
    return {key[i : i + 2] for i in range(len(key) - 1)}
