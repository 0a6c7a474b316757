"""A lexicon in a file: compiled, or a word list."""

from __future__ import annotations

from pathlib import Path

from distillex_matcher import Lexicon


def open_lexicon(file: Path, name: str = "") -> Lexicon:
    """Open a compiled lexicon (``.lex``), or compile a typed word list under a name.

    Raises
    ------
    LexiconError
        For a file that cannot be read or used; names it, and the line.
    """
    return Lexicon.load(file) if file.suffix == ".lex" else Lexicon.from_tsv(file, name=name)
