"""Find the shipped models and lexicons, in the source tree or in the wheel."""

from __future__ import annotations

from pathlib import Path

from distillex_matcher.lexicon_store import BASE_NAME, LexiconStore


def shipped_models() -> Path:
    """Return the folder of the shipped models."""
    return shipped(__file__, "models")


def shipped_lexicons() -> Path:
    """Return the folder of the shipped lexicons, such as ``base``."""
    return shipped(__file__, "lexicons")


def shipped(module: str, name: str) -> Path:
    """Return a folder of the source tree, or the one packaged in the wheel beside a module."""
    package = Path(module).resolve().parent
    packaged = package / name
    return packaged if packaged.is_dir() else package.parents[1] / name


def shipped_base_lexicon() -> Path:
    """Return the file of the shipped base lexicon."""
    store = LexiconStore(shipped_lexicons())
    return store.directory / BASE_NAME / f"{store.current_version(BASE_NAME)}.lex"
