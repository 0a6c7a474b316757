"""Check a run before any work, and before torch is imported.

Paths, the lexicon, model directories and their entity types, and every labelled file against the types.
"""

from __future__ import annotations

import dataclasses
import os
import typing
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from distillex_client.suggestions import nearest
from distillex_matcher import FeatureLayout, Lexicon

from distillex_training.config import DistillationConfig, PretrainRun, StudentRun, TeacherRun
from distillex_training.config.losses import LOSSES
from distillex_training.config.model_directory import read_description
from distillex_training.config.values import Kept
from distillex_training.data.everyday import EverydaySentences
from distillex_training.data.labelled import unknown_label
from distillex_training.data.raw import is_json
from distillex_training.data.run_files import RunFiles
from distillex_training.errors import ConfigError, DataError

ENCODER_CONFIG = "config.json"
BEGINNING = 1 << 16
"""Bytes of a raw file that are looked at."""


def check_run(run: StudentRun | TeacherRun | PretrainRun, folder: Path = Path()) -> None:
    """Check what a run reads.

    Parameters
    ----------
    run
        Its settings.
    folder
        That of the configuration file: what a missing path may mean is looked for there too.

    Raises
    ------
    ConfigError
        For paths that are missing, an encoder that is not there, raw files without a sentence and a tracker without its
        package: a line for each. Where none is so, for models that do not fit.
    DataError
        For labelled files that are wrong: one error names all problems.
    LexiconError
        For a damaged lexicon.
    ModelDirectoryError
        For a damaged model directory.
    """
    mistakes: list[str] = []
    with _collected(mistakes):
        check_trackers(run.loop.trackers)
    mistakes += [line for key, path, kind in _kept_paths(run) if (line := _missing(key, path, kind, folder))]
    with _collected(mistakes):
        if isinstance(run, PretrainRun):
            check_encoder("init", run.init)
        elif isinstance(run, TeacherRun):
            check_encoder("encoder", run.encoder)
    raw, lexicon = (run.raw, run.lexicon) if isinstance(run, PretrainRun) else (run.data.raw, run.data.lexicon)
    for path in filter(Path.is_file, raw):
        with _collected(mistakes):
            _check_raw(path)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    if lexicon is not None:
        Lexicon.load(lexicon)
    if not isinstance(run, PretrainRun):
        _check_models(run, _check_labelled(run))


@contextmanager
def _collected(mistakes: list[str]) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        mistakes.append(str(error))


def check_trackers(names: Iterable[str]) -> None:
    """Check that what is to follow a run is installed.

    Raises
    ------
    ConfigError
        Where it is not, naming the package.
    """
    for name in names:
        found = find_spec(name)
        if found is None or found.origin is None:  # a folder of that name, such as wandb makes, is no package
            raise ConfigError(
                f"loop.trackers: {name} needs the package {name}, which is not installed: "
                f"pip install 'distillex[{name}]', or leave it out"
            )


def check_encoder(key: str, encoder: str | None) -> None:
    """Check that a folder that an encoder's name can only mean is there and holds one.

    Raises
    ------
    ConfigError
        Where it is not.
    """
    if encoder is None:
        return
    folder = Path(encoder)
    if folder.is_dir():
        if not (folder / ENCODER_CONFIG).is_file():
            raise ConfigError(f"{key}: {encoder} holds no {ENCODER_CONFIG}: it is no encoder, and no teacher's model")
    elif folder.exists():
        raise ConfigError(
            f"{key}: {encoder} is a file; a folder, or a name of an encoder on the Hugging Face hub, is accepted"
        )
    elif encoder.startswith((".", "/", "~")) or encoder.count("/") > 1 or _is_in_a_folder(folder):
        raise ConfigError(f"{key}: {_not_there(folder, 'folder')}")


def _is_in_a_folder(path: Path) -> bool:
    return bool(path.parent.name) and path.parent.is_dir()


def _kept_paths(value: Any, prefix: str = "") -> Iterator[tuple[str, Path, str]]:
    """Yield key, path and kind of what has to be there."""
    hints = typing.get_type_hints(type(value), include_extras=True)
    for each in dataclasses.fields(value):
        key, held = prefix + each.name, getattr(value, each.name)
        kind = _kind(hints[each.name])
        if dataclasses.is_dataclass(held):
            yield from _kept_paths(held, f"{key}.")
        elif isinstance(held, tuple) and any(map(dataclasses.is_dataclass, held)):
            for i, item in enumerate(held):
                yield from _kept_paths(item, f"{key}.{i}.")
        elif kind and held is not None:
            for path in held if isinstance(held, tuple) else (held,):
                yield key, path, kind


def _kind(hint: Any) -> str:
    if typing.get_origin(hint) is Annotated:
        inner, *extras = typing.get_args(hint)
        return next((each.kind for each in extras if isinstance(each, Kept)), "") or _kind(inner)
    return next((found for each in typing.get_args(hint) if (found := _kind(each))), "")


def _missing(key: str, path: Path, kind: str, folder: Path) -> str:
    if kind == "file" and path.is_dir():
        return f"{key}: {path} is a folder; a file is accepted"
    if kind == "folder" and path.is_file():
        return f"{key}: {path} is a file; a model directory is accepted"
    if not path.exists():
        return f"{key}: {_not_there(path, kind, folder)}"
    return "" if os.access(path, os.R_OK) else f"{key}: {path} cannot be read: permission denied"


def _not_there(path: Path, kind: str, folder: Path = Path()) -> str:
    """Say that a path is missing, and what beside it may have been meant."""
    found = next(filter(None, map(_like, (folder / path, path))), None)
    beside = f"; did you mean {found}?" if found else ""
    where = "" if path.is_absolute() else " (looked for beside the configuration and in the working folder)"
    return f"{path}: no such {kind}{where}{beside}"


def _like(path: Path) -> Path | None:
    there = path.parent
    while not there.is_dir():
        there = there.parent
    meant = nearest(path.relative_to(there).parts[0], sorted(each.name for each in there.iterdir()), cutoff=0.75)
    return there / meant if meant else None


def _check_raw(path: Path) -> None:
    with path.open("rb") as file:
        beginning = file.read(BEGINNING)
    first = next((line for line in beginning.decode("utf-8", "replace").splitlines() if line.strip()), "")
    if not first:
        raise ConfigError(f"data.raw: {path} holds no sentence")
    if path.suffix != ".jsonl" and is_json(first):
        raise ConfigError(f"data.raw: {path} holds JSON, not sentences; texts are read of files named .jsonl")


def _check_labelled(run: StudentRun | TeacherRun) -> tuple[str, ...]:
    """Read every labelled file and what is made of it; returns the entity types."""
    teacher = run.distillation.teacher
    teacher_types = () if teacher is None else read_description(teacher).config.entity_types
    files = RunFiles(run.data, run.distillation.labels, teacher_types)
    try:
        read = files.read()
    except DataError:
        _check_types(files, run)
        raise
    types = read.entity_types
    for i, each in enumerate(run.data.mentions):
        if each.type not in types:
            meant = nearest(each.type, types)
            suggestion = f"did you mean {meant!r}? " if meant else ""
            raise ConfigError(
                f"data.mentions.{i}.type is {each.type!r}; {suggestion}one of {', '.join(types)} is accepted"
            )
    if isinstance(run, StudentRun):
        EverydaySentences(run.everyday, types, [sentence for part in read.train for sentence in part])
    return types


def _check_types(files: RunFiles, run: StudentRun | TeacherRun) -> None:
    """Say in one sentence that a file has labels that the model does not, where a list of its lines would not."""
    train = [file.records(()) for file in files.train]
    known = files.types or tuple(sorted(set().union(*(file.types for file in train))))
    if not known or any(file.problems for file in train):
        return  # which labels there are, a file that cannot be read does not say
    source = "the training files have" if run.data.train else "those that teach have"
    if run.data.types:
        source = "data.types has"
    for file in (*files.train, *files.measured):
        if file.declaration is not None:
            continue
        records = file.records(()).records
        if said := unknown_label(file.path, records, known, source):
            raise ConfigError(said)


def _check_models(run: StudentRun | TeacherRun, types: tuple[str, ...]) -> None:
    switches = run.distillation
    check_teachers(switches, types)
    kept = (run.init_from if isinstance(run, StudentRun) else None) or switches.teacher
    rules = None if kept is None else FeatureLayout.load(kept).text
    try:
        run.data.text.rules(rules)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if run.init_from is not None:
        wanted = "student" if isinstance(run, StudentRun) else "teacher"
        kind = read_description(run.init_from).kind
        if kind != wanted:
            raise ConfigError(f"init_from: {run.init_from} is not a {wanted}, but a {kind}")
    if isinstance(run, StudentRun) and switches.start_from_teacher and switches.teacher is not None:
        _check_start(run, switches.teacher)


def check_teachers(switches: DistillationConfig, entity_types: tuple[str, ...]) -> None:
    """Check that the teacher labels something of what the student is to find, as far as the losses need it.

    Raises
    ------
    ConfigError
        For a teacher that labels none of the student's entity types, one beside it of other types than the teacher, or
        a loss that compares label by label where the labels differ.
    """
    if switches.teacher is None:
        return
    labels = read_description(switches.teacher).config.entity_types
    theirs, ours = ", ".join(labels), ", ".join(entity_types)
    for i, path in enumerate(switches.ensemble):
        named = read_description(path).config.entity_types
        if named != labels:
            raise ConfigError(f"distillation.ensemble.{i}: {path} labels {', '.join(named)}; the teacher, {theirs}")
    if labels == entity_types:
        return
    if not set(labels) & set(entity_types):
        raise ConfigError(
            f"distillation.teacher: {switches.teacher} labels {theirs}; none is a type of the student, {ours}"
        )
    for name in switches.switched_on:
        if LOSSES[name].needs.label_by_label:
            raise ConfigError(
                f"distillation.losses.{name} is {switches.losses[name]}: it compares label by label, and the teacher "
                f"{switches.teacher} labels {theirs}, the student {ours}; give 0"
            )


def _check_start(run: StudentRun, teacher: Path) -> None:
    config = read_description(teacher).config
    width = getattr(config, "character_embedding", None)
    if width is None:
        settings = getattr(config, "encoder_config", {})
        width = settings.get("embedding_size", settings.get("hidden_size"))
    if isinstance(width, int) and run.student.character_embedding > width:
        raise ConfigError(
            f"student.character_embedding is {run.student.character_embedding}; the teacher's has {width} dimensions"
        )
