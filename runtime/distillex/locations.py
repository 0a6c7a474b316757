"""Where the models and lexicons that come with distillex lie: in the source tree, or packaged in the wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SOURCE_TREE = PACKAGE.parents[1]


def shipped_models() -> Path:
    """Return the folder of the shipped models."""
    return _shipped("models")


def shipped_lexicons() -> Path:
    """Return the folder of the shipped lexicons, such as ``base``."""
    return _shipped("lexicons")


def _shipped(name: str) -> Path:
    packaged = PACKAGE / name
    return packaged if packaged.is_dir() else SOURCE_TREE / name
