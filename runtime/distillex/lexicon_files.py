"""Open a lexicon from a file: compiled, or a word list."""

from __future__ import annotations

from pathlib import Path

from distillex_matcher import Lexicon


def open_lexicon(file: Path, name: str = "", trust: str | float | None = None) -> Lexicon:
    """Open a compiled lexicon (``.lex``), or compile a typed word list under a name; with a trust, if one is given.

    Raises
    ------
    LexiconError
        For a file that cannot be read or used; names it, and the line. For a trust that is not accepted.
    """
    if file.suffix != ".lex":
        return Lexicon.from_tsv(file, name=name, trust=trust)
    lexicon = Lexicon.load(file)
    return lexicon if trust is None else with_trust(lexicon, trust)


def with_trust(lexicon: Lexicon, trust: str | float) -> Lexicon:
    """Return a lexicon of the same words that says how far those are obeyed that do not say it themselves.

    Raises
    ------
    LexiconError
        For a trust that is not accepted.
    """
    return Lexicon.from_entries(lexicon, name=lexicon.name, version=lexicon.version, trust=trust)
