"""Where the shipped model configurations lie."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SOURCE_TREE = PACKAGE.parents[1]


def shipped_configurations() -> Path:
    """Return the source tree's ``model_repository``, or the one packaged in the wheel."""
    packaged = PACKAGE / "model_repository"
    return packaged if packaged.is_dir() else SOURCE_TREE / "model_repository"
