"""Words for one run, from a file: WORD, tab, TYPE a line."""

from __future__ import annotations

from pathlib import Path

from distillex_client.batch.errors import WrongUse

HIDING_TYPES = ("null", "-")


def read_lexicon(path: Path) -> dict[str, str | None]:
    """Return word → type; None for a word that is to be hidden. Empty lines and lines with ``#`` first are passed by.

    Raises
    ------
    WrongUse
        When the file cannot be read, or a line is not WORD<TAB>TYPE; names the line.
    """
    words: dict[str, str | None] = {}
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise WrongUse(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WrongUse(f"{path}: not UTF-8 (byte {error.start})") from error
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.rstrip("\r").split("\t")
        if len(fields) < 2 or not fields[0] or not fields[1]:
            raise WrongUse(f"{path}:{number}: {line!r} is not WORD<TAB>TYPE")
        words[fields[0]] = None if fields[1] in HIDING_TYPES else fields[1]
    return words
