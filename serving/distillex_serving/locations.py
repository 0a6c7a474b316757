"""Where the shipped model repository, students and lexicons lie."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SOURCE_TREE = PACKAGE.parents[1]


def default_repository() -> Path:
    """Return the source tree's ``model_repository``, or the one packaged in the wheel."""
    packaged = PACKAGE / "model_repository"
    return packaged if packaged.is_dir() else SOURCE_TREE / "model_repository"


def default_models_directory() -> Path:
    """Return the source tree's ``models``, or the one packaged in the wheel: the shipped students."""
    packaged = PACKAGE / "models"
    return packaged if packaged.is_dir() else SOURCE_TREE / "models"


def teacher_configurations() -> Path:
    """Return the ``teacher_repository`` without weights, of the source tree or of the wheel."""
    packaged = PACKAGE / "teacher_repository"
    return packaged if packaged.is_dir() else SOURCE_TREE / "teacher_repository"


def default_lexicon_directory(repository: Path) -> Path:
    """Return the ``lexicons`` folder beside a repository."""
    return repository.resolve().parent / "lexicons"
