"""A model directory: config.json, features.json, vocabulary.txt, model.safetensors."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from distillex_matcher import FeatureLayout, Lexicon
from distillex_matcher.exported import (
    CONFIG_FILE,
    CRF_FILE,
    GPU_NETWORK_FILE,
    NETWORK_FILE,
    PLAN_FILES,
    WEIGHTS_FILE,
)
from distillex_matcher.layout import FEATURES_FILE, VOCABULARY_FILE, write_atomically
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from distillex_training.config.model_directory import LEXICON, PREFER, read_description
from distillex_training.config.student import StudentConfig
from distillex_training.config.teacher import TeacherConfig
from distillex_training.errors import EncoderError, ModelDirectoryError
from distillex_training.models.crf import ConstrainedCrf
from distillex_training.models.stored_weights import restored, stored
from distillex_training.models.student import Student
from distillex_training.models.teacher import Teacher
from distillex_training.models.word_pieces import TOKENIZER_FILE, WordPieces
from distillex_training.weight_storage import Storage

__all__ = [
    "ModelDirectoryError",
    "load_model",
    "longest_input",
    "other_lexicon",
    "save_model",
    "write_weights",
]
TWO_MODELS = "The directory holds files of two models: copy all files of one"


def save_model(
    directory: Path,
    model: Student | Teacher,
    crf: ConstrainedCrf,
    layout: FeatureLayout,
    *,
    storage: Storage = Storage.FLOAT32,
    lexicon: str | None = None,
) -> None:
    """Write a model directory; each file is replaced atomically. What was exported there before is removed.

    ``storage`` says how the weights are stored (the CRF stays float32); ``lexicon`` is the checksum of the base lexicon
    that the model was trained with.

    Raises
    ------
    ModelDirectoryError
        For a weight that float16 does not hold.
    """
    kind = "student" if isinstance(model, Student) else "teacher"
    config = {"format": 1, "kind": kind, **dataclasses.asdict(model.config)}
    if crf.prefer is not None:
        config[PREFER] = crf.prefer
    if lexicon is not None:
        config[LEXICON] = lexicon
    tensors = stored({f"model.{name}": tensor for name, tensor in model.state_dict().items()}, storage)
    tensors |= {f"crf.{name}": tensor for name, tensor in crf.state_dict().items()}
    directory.mkdir(parents=True, exist_ok=True)
    for exported in (NETWORK_FILE, GPU_NETWORK_FILE, *PLAN_FILES, CRF_FILE):
        # Of the weights that are replaced: they would answer in the name of the new ones.
        (directory / exported).unlink(missing_ok=True)
    layout.save(directory)
    if isinstance(model, Teacher) and model.pieces is not None:
        write_atomically(directory / TOKENIZER_FILE, model.pieces.content)
    else:
        (directory / TOKENIZER_FILE).unlink(missing_ok=True)
    write_weights(directory, tensors)
    write_atomically(directory / CONFIG_FILE, json.dumps(config, ensure_ascii=False, indent=1) + "\n")


def write_weights(directory: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Replace the weights of a model directory atomically."""
    temporary = directory / ".model.safetensors.new"
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary)
    temporary.chmod(0o644)
    temporary.replace(directory / WEIGHTS_FILE)


def load_model(directory: Path) -> tuple[Student | Teacher, ConstrainedCrf, FeatureLayout]:
    """Read a model directory; the model is in evaluation mode, in float32.

    Raises
    ------
    LayoutError
        For a missing or wrong ``features.json`` or ``vocabulary.txt``.
    ModelDirectoryError
        For another missing or wrong file, an unknown kind, and files of two models.
    """
    described = read_description(directory)
    config = described.config
    layout = FeatureLayout.load(directory)
    _check_layout(directory, config, layout)
    path = directory / WEIGHTS_FILE
    try:
        model = Student(config) if isinstance(config, StudentConfig) else Teacher(config)
        crf = ConstrainedCrf(model.config.entity_types)
        tensors = restored(load_file(path))
        model.load_state_dict(_part(tensors, "model."))
        crf.load_state_dict(_part(tensors, "crf."))
        crf.prefer = described.prefer
        if isinstance(model, Teacher) and model.config.word_pieces:
            model.pieces = _pieces(directory, model, layout)
    except SafetensorError as error:
        raise ModelDirectoryError(f"{path}: cannot be read: {error}") from None
    except (RuntimeError, TypeError, ValueError) as error:  # settings, or tensors that are missing or of other sizes
        found = " ".join(str(error).split())
        raise ModelDirectoryError(f"{path} does not fit {CONFIG_FILE} beside it. {TWO_MODELS}. {found}") from None
    return model.eval(), crf.eval(), layout


def _pieces(directory: Path, teacher: Teacher, layout: FeatureLayout) -> WordPieces:
    path = directory / TOKENIZER_FILE
    if not path.is_file():
        raise ModelDirectoryError(f"{path}: missing; a teacher that reads word pieces needs its tokenizer")
    try:
        return WordPieces(path.read_text(encoding="utf-8"), layout.vocabulary, teacher.encoder)
    except (EncoderError, UnicodeDecodeError) as error:
        raise ModelDirectoryError(f"{path}: {error}") from None


def _check_layout(directory: Path, config: StudentConfig | TeacherConfig, layout: FeatureLayout) -> None:
    for file, what, expected, found in (
        (VOCABULARY_FILE, "tokens", config.vocabulary, len(layout.vocabulary)),
        (FEATURES_FILE, "lexicon types", config.lexicon_types, len(layout.types)),
    ):
        if expected != found:
            raise ModelDirectoryError(
                f"{directory / CONFIG_FILE} is of a model with {expected} {what}; {file} has {found}. {TWO_MODELS}"
            )
    unknown = [kind for kind in config.entity_types if kind not in layout.types]
    if unknown:
        raise ModelDirectoryError(
            f"{directory / CONFIG_FILE} has the entity types {', '.join(config.entity_types)}; {FEATURES_FILE} does "
            f"not know {', '.join(unknown)}. {TWO_MODELS}"
        )


def other_lexicon(directory: Path, base: Lexicon) -> str:
    """Say that a model was trained with another base lexicon than this; empty where it was not, or does not say."""
    trained = read_description(directory).lexicon
    if trained is None or trained == base.checksum:
        return ""
    return (
        f"{directory} was trained with the base lexicon {trained[:12]}…; this is {base.checksum[:12]}…, so that scores "
        "may be lower than they were in training"
    )


def longest_input(model: Student | Teacher, layout: FeatureLayout) -> int:
    """Return how many tokens a model reads at once, ``[CLS]`` and ``[SEP]`` included."""
    limit = model.longest_input if isinstance(model, Teacher) else None
    return layout.buckets[-1] if limit is None else min(limit, layout.buckets[-1])


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
