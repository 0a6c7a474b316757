"""Read a word list: lines of WORD, tab, TYPE, and optionally WEIGHT and TRUST.

The rules are those of ``distillex lexicon push`` (docs/how-to/lexicons.md): a list that serves the one serves the
other. They stand here once more because the client knows nothing of the matcher; a test holds the two together.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

import numpy as np

from distillex_client.errors import WrongUse
from distillex_client.protocol import Trust

HIDING_TYPES = ("null", "-")
LONGEST_WORD = 255
"""Code points; for the words of a request the server's own limit is lower."""
LONGEST_TYPE = 64
"""Bytes."""
TRUST_LEVELS = ("hint", "prefer", "insist")
MOST_TRUST = 1000.0
# What the matcher sees as a space: Python's white space, and what is not to be seen.
_INVISIBLE = [0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
SPACES = "".join(chr(p) for p in range(0x10000) if chr(p).isspace() or (p in _INVISIBLE and p != 0x2065))
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


Entry = str | dict[str, Trust] | None
"""The type of a word, the same with its trust, or None for a word that is to be hidden."""


def read_lexicon(path: Path) -> dict[str, Entry]:
    """Return word → type and trust; None for a word that is to be hidden.

    A weight is checked, but a request sends none.

    Raises
    ------
    WrongUse
        When the file cannot be read, or a line is not WORD<TAB>TYPE[<TAB>WEIGHT[<TAB>TRUST]]; names the line.
    """
    words: dict[str, Entry] = {}
    seen: dict[str, tuple[str, int]] = {}
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WrongUse(f"{path}: {error.strerror}") from error
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            entry = _entry_of(line)
            if entry is None:
                continue
            word, kind = entry
            earlier, place = seen.setdefault(_normal(word), (word, number))
            if place != number:
                # The same word in other characters may stand in a list twice, to say the same.
                if word != earlier and _type_of(kind) == _type_of(words[earlier]):
                    continue
                otherwise = f", as {_quoted(earlier)} with another type" if word != earlier else ""
                raise ValueError(f"the word {_quoted(word)} stands in line {place} already{otherwise}")
        except UnicodeDecodeError as error:
            raise WrongUse(f"{path}:{number}: not UTF-8 (byte {error.start} of the line)") from error
        except ValueError as error:
            raise WrongUse(f"{path}:{number}: {error}") from error
        words[word] = kind
    return words


def read_trust(text: str) -> Trust:
    """Return the level or the number that a text says.

    Raises
    ------
    ValueError
        For a value that is not accepted; the message lists those that are.
    """
    if text in TRUST_LEVELS:
        return text
    number = float(text) if _NUMBER.fullmatch(text) else -1.0
    if not 0.0 <= number <= MOST_TRUST:
        raise ValueError(
            f"the trust {_quoted(text)} is not accepted; hint, prefer, insist or a number from 0 to 1000 is"
        )
    return number


def _type_of(entry: Entry) -> Trust | None:
    return entry["type"] if isinstance(entry, dict) else entry


def _entry_of(content: bytes) -> tuple[str, Entry] | None:
    """Return word, type and trust of a line; None where it is blank or a comment."""
    line = content.decode("utf-8").strip(SPACES)
    if not line or line == "#" or (line[0] == "#" and line[1] in SPACES.replace("\t", "")):
        return None
    fields = [_unquoted(field.strip(SPACES)) for field in content.decode("utf-8").split("\t")]
    # Spreadsheets end lines with the tabs of columns that are empty.
    while len(fields) > 2 and not fields[-1]:
        fields.pop()
    if not 2 <= len(fields) <= 4:
        hint = " (a comment begins with '# ')" if line[0] == "#" else ""
        raise ValueError(f"{_quoted(line, 60)} is not WORD<TAB>TYPE[<TAB>WEIGHT[<TAB>TRUST]]{hint}")
    word, kind = fields[:2]
    if len(fields) > 2 and fields[2]:
        _check_weight(fields[2])
    trust = read_trust(fields[3]) if len(fields) > 3 else None
    _check_word(word)
    if kind in HIDING_TYPES:
        return word, None
    if not kind or len(kind.encode()) > LONGEST_TYPE or _CONTROL.search(kind):
        raise ValueError(
            f"the type {_quoted(kind)} of {_quoted(word)} is not a name of 1 to 64 bytes of printable UTF-8"
        )
    return word, kind if trust is None else {"type": kind, "trust": trust}


def _unquoted(field: str) -> str:
    """Take off the quotes that spreadsheets put around a field, in which a quote of its own stands twice."""
    inner = field[1:-1]
    if len(field) < 2 or field[0] != '"' or field[-1] != '"' or '"' in inner.replace('""', ""):
        return field
    return inner.replace('""', '"').strip(SPACES)


def _check_weight(field: str) -> None:
    number = float(field) if _NUMBER.fullmatch(field) else 0.0
    # The matcher keeps weights in single precision.
    if not (number <= 1.0 and np.float32(number) > 0.0):
        raise ValueError(f"the weight {_quoted(field)} is not a number in (0, 1]")


def _check_word(word: str) -> None:
    if not word:
        raise ValueError("a lexicon word is empty")
    if len(word) > LONGEST_WORD:
        raise ValueError(f"the word {_quoted(word)} has {len(word)} code points; at most {LONGEST_WORD} are accepted")
    if _CONTROL.search(word):
        raise ValueError(f"the word {_quoted(word)} holds a control character (NUL, tab, line end, …)")


def _normal(word: str) -> str:
    """Return what the matcher compares: one code point to one, and a run of spaces is one."""
    return re.sub(" +", " ", "".join(map(_normal_point, word)))


@cache
def _ideographs() -> dict[str, str]:
    """Return traditional character or radical → what it is seen as next."""
    lines = Path(__file__).with_name("ideographs.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ") for line in lines if not line.startswith("#"))


def _normal_point(point: str) -> str:
    if point in SPACES:
        return " "
    half = chr(ord(point) - 0xFEE0) if "！" <= point <= "～" else point
    if unicodedata.name(half, "").startswith("CJK COMPATIBILITY IDEOGRAPH"):
        half = unicodedata.normalize("NFC", half)
    while half in _ideographs():
        half = _ideographs()[half]
    lower = half.lower()
    return lower if len(lower) == 1 else half


def _quoted(text: str, most: int = 40) -> str:
    shown = _CONTROL.sub("\ufffd", text[:most])
    return f"'{shown}…'" if len(text) > most else f"'{shown}'"
