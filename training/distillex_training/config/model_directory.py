"""Read a model directory's description of its model, without the weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillex_matcher.exported import CONFIG_FILE, WEIGHTS_FILE

from distillex_training.config.messages import RENAMED, sentence
from distillex_training.config.student import StudentConfig
from distillex_training.config.teacher import TeacherConfig
from distillex_training.errors import ModelDirectoryError

KINDS: dict[str, type[StudentConfig | TeacherConfig]] = {"student": StudentConfig, "teacher": TeacherConfig}
PREFER = "prefer"
"""In config.json: what trust ``prefer`` adds (:class:`~distillex_matcher.CrfParameters`)."""
LEXICON = "lexicon"
"""In config.json: the checksum of the base lexicon that the model was trained with."""


@dataclass(frozen=True)
class ModelDescription:
    """A model directory's ``config.json``."""

    config: StudentConfig | TeacherConfig
    prefer: float | None = None
    """What the trust ``prefer`` adds; None: not set."""
    lexicon: str | None = None
    """Checksum of the base lexicon that it was trained with; None: not said."""

    @property
    def kind(self) -> str:
        """``student`` or ``teacher``."""
        return next(name for name, kind in KINDS.items() if isinstance(self.config, kind))


def read_description(directory: Path) -> ModelDescription:
    """Read what a model directory says of its model, without the weights.

    Raises
    ------
    ModelDirectoryError
        For a missing or wrong file, or an unknown kind.
    """
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (directory / name).exists():
            raise ModelDirectoryError(f"{directory / name}: missing; a model directory is written by training")
    path = directory / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelDirectoryError(f"{path}: not JSON: {error}") from None
    if not isinstance(config, dict):
        raise ModelDirectoryError(f"{path}: {type(config).__name__}; an object is expected")
    kind = config.pop("kind", None)
    config.pop("format", None)
    if kind not in KINDS:
        raise ModelDirectoryError(f"{directory}: unknown kind {kind!r}; known kinds: {', '.join(KINDS)}")
    prefer, lexicon = config.pop(PREFER, None), config.pop(LEXICON, None)
    if prefer is not None and (isinstance(prefer, bool) or not isinstance(prefer, (int, float))):
        raise ModelDirectoryError(f"{path}: {PREFER} is {prefer!r}; a number is accepted")
    if lexicon is not None and not isinstance(lexicon, str):
        raise ModelDirectoryError(f"{path}: {LEXICON} is {lexicon!r}; a checksum is accepted")
    fields: dict[str, Any] = {
        str(RENAMED.get(f"{kind}.{key}", key)).rpartition(".")[2]: tuple(value) if isinstance(value, list) else value
        for key, value in config.items()
    }
    try:
        return ModelDescription(KINDS[kind](**fields), prefer, lexicon)
    except (TypeError, ValueError) as error:
        raise ModelDirectoryError(f"{path}: {sentence(error, KINDS[kind])}") from None
