"""Fold characters step by step: the oracle of ``normalize``."""

from __future__ import annotations

import unicodedata
from pathlib import Path

INVISIBLE = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
"""Ranges of what is not to be seen: soft hyphen, joiners, marks and controls of direction, byte order mark."""


def _points_in(ranges: str) -> set[str]:
    points = set(ranges) - {"-"}
    for place, character in enumerate(ranges):
        if character == "-":
            points |= {chr(point) for point in range(ord(ranges[place - 1]), ord(ranges[place + 1]))}
    return points


_SPACES = _points_in(INVISIBLE)
_LINES = (Path(__file__).parent / "ideographs.txt").read_text(encoding="utf-8").splitlines()
_IDEOGRAPHS = dict(line.split(" ") for line in _LINES if not line.startswith("#"))


def _one_step(character: str, *, lowercase: bool) -> str:
    if character.isspace() or character in _SPACES:
        return " "
    if "！" <= character <= "～":
        return chr(ord(character) - 0xFEE0)
    if character in _IDEOGRAPHS:
        return _IDEOGRAPHS[character]
    decomposition = unicodedata.decomposition(character)
    if unicodedata.name(character, "").startswith("CJK COMPATIBILITY IDEOGRAPH") and decomposition:
        return chr(int(decomposition, 16))
    lower = character.lower()
    changes = len(lower) == 1 and (lowercase or not is_cased_letter(character))
    return lower if changes else character


def fold(text: str, *, lowercase: bool = True) -> str:
    """Return the text as models and lexicons see it: as many code points, none of which changes once more.

    Lower case, full to half width, traditional to simplified, radicals and compatibility ideographs to the ideograph,
    white space and the invisible to a plain space. Without ``lowercase`` letters keep their case.
    """
    folded = "".join(_one_step(character, lowercase=lowercase) for character in text)
    return folded if folded == text else fold(folded, lowercase=lowercase)


def is_cased_letter(character: str) -> bool:
    """Tell whether it is a letter of a script that has capitals and small ones, or an accent that follows one."""
    return unicodedata.category(character) in ("Lu", "Ll", "Lt") or "\u0300" <= character <= "\u036f"


def single_spaced(folded: str) -> str:
    """Return a folded text in which a run of spaces is one."""
    while "  " in folded:
        folded = folded.replace("  ", " ")
    return folded


def fold_word(word: str) -> str:
    """Return a word as a lexicon keeps it."""
    return single_spaced(fold(word)).strip(" ")
