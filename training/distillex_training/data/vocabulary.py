"""The vocabulary shared by teacher and student: special tokens, then characters by frequency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from distillex_matcher import normalize

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁")
MASK_ID = SPECIAL_TOKENS.index("[MASK]")


def build_vocabulary(texts: Iterable[str], *, minimum_count: int = 2, lowercase: bool = True) -> tuple[str, ...]:
    """Return the special tokens and every normalised character that occurs at least ``minimum_count`` times.

    ``lowercase``: whether capital letters are seen as small ones.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalize(text, lowercase=lowercase))
    characters = [
        character
        for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if count >= minimum_count and not character.isspace() and character.isprintable()
    ]
    return (*SPECIAL_TOKENS, *(character for character in characters if character not in SPECIAL_TOKENS))
