"""Find the ends of sentences."""

from __future__ import annotations

import re
from itertools import takewhile

SENTENCE_END = re.compile(r"[。！？!?…]+[”’」』）)\"']*|[\r\n]+")
_PERIOD = re.compile(r"\.[\"'”’)\]»]*(?=\s)")
_OPENING = "\"'“‘([«¿¡"
_CLOSING = "\"'”’)]»"
_LOOKED_AT = 40
"""So many characters before and after a period decide."""
ABBREVIATIONS = frozenset(
    re.findall(
        r"\w+",
        """
        Mr Mrs Ms Dr Prof Rev Hon St Mt Ft Jr Sr Gen Col Maj Capt Lt Sgt Cmdr Adm Gov Sen Rep Pres
        Inc Ltd Co Corp Bros Dept Univ Assn Est No Nos Vol Vols Fig Figs Eq Eqs Sec Ch Ave Blvd Rd Hwy
        Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun
        Cf cf Ed Eds ed eds pp al vs approx ca
        """,
    )
)
"""Words that keep their period within a sentence, as they are written there; single letters (``U.S.``, ``J. Smith``) do
too."""


def sentence_ends(text: str, *, periods: bool = False) -> list[int]:
    """Return where sentences end, in order.

    Parameters
    ----------
    text
        Any text.
    periods
        Whether a period ends a sentence of a script with capital and small letters too: where white space and a capital
        letter follow, and no abbreviation, initial or number of a list stands before it. So ``3.14``, ``v2.0``,
        ``www.a.com``, ``U.S. Army`` and ``Apple Inc. CEO`` stay whole.
    """
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    return sorted({*ends, *period_ends(text)}) if periods else ends


def has_period(document: str | bytes) -> bool:
    """Tell whether it matters what a period ends."""
    return b"." in document if isinstance(document, bytes) else isinstance(document, str) and "." in document


def period_ends(text: str) -> list[int]:
    """Return where periods end sentences of scripts with capital and small letters."""
    return [match.end() for match in _PERIOD.finditer(text) if _ends_sentence(text, match.start(), match.end())]


def _ends_sentence(text: str, period: int, end: int) -> bool:
    follows = text[end : end + _LOOKED_AT].lstrip().lstrip(_OPENING)[:1]
    before = text[max(0, period - _LOOKED_AT) : period]
    bare = before.rstrip(f".{_CLOSING}")
    word = "".join(takewhile(_is_of_a_word, reversed(bare)))[::-1]
    if not word or not follows.isupper():
        return False
    if word.isdigit():
        # The number of a line ("1. Apples") ends nothing.
        return bool(bare[: -len(word)].rpartition("\n")[2].strip())
    closed = before[-1] in _CLOSING
    return closed or (len(word) > 1 and word not in ABBREVIATIONS)


def _is_of_a_word(character: str) -> bool:
    """Tell whether it is a digit, or a letter of a script with capital and small ones."""
    return character.isdigit() or character.lower() != character.upper()
