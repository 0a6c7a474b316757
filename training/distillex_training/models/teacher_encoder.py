"""The encoder that a teacher begins with: a pretrained one, or another teacher's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from distillex_matcher.exported import CONFIG_FILE
from torch import nn

from distillex_training.errors import EncoderError
from distillex_training.models.directory import load_model
from distillex_training.models.teacher import Teacher, adapt_encoder, load_encoder, load_encoder_of_pieces
from distillex_training.models.word_pieces import WordPieces, checked_pieces


def load_any_encoder(
    name_or_path: str | Path, vocabulary: tuple[str, ...]
) -> tuple[nn.Module, dict[str, Any], list[str]]:
    """Load an encoder as :func:`~distillex_training.models.teacher.load_encoder`, or that of a teacher's directory.

    Raises
    ------
    EncoderError
        For an encoder that cannot be read.
    ModelDirectoryError
        For a teacher's directory that is incomplete.
    """
    if not is_teacher(name_or_path):
        return load_encoder(name_or_path, vocabulary)
    teacher, _, layout = load_model(Path(name_or_path))
    assert isinstance(teacher, Teacher)
    own = {token: row for row, token in enumerate(layout.vocabulary)}
    return adapt_encoder(teacher.encoder, own if teacher.pieces is None else teacher.pieces.rows(), vocabulary)


def load_any_encoder_of_pieces(
    name_or_path: str | Path, vocabulary: tuple[str, ...]
) -> tuple[nn.Module, dict[str, Any], WordPieces]:
    """Load an encoder that reads word pieces, as it is, and its tokenizer: a pretrained one, or a teacher's.

    Raises
    ------
    EncoderError, ModelDirectoryError
        As of :func:`load_any_encoder`, and for an encoder that has no pieces.
    """
    if not is_teacher(name_or_path):
        return load_encoder_of_pieces(name_or_path, vocabulary)
    teacher, _, _ = load_model(Path(name_or_path))
    assert isinstance(teacher, Teacher)
    if teacher.pieces is None:
        raise EncoderError(f"word_pieces: the teacher {name_or_path} reads characters alone: give false")
    pieces = checked_pieces(teacher.pieces.content, name_or_path, vocabulary, teacher.encoder)
    return teacher.encoder, teacher.config.encoder_config, pieces


def is_teacher(name_or_path: str | Path) -> bool:
    """Tell whether there is a teacher's model directory, not an encoder of transformers' making."""
    try:
        config = json.loads((Path(name_or_path) / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("kind") == "teacher"
