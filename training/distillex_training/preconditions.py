"""Check a command that uses a model, before torch is imported.

A wrong model, lexicon or file is answered in the time that it takes to read its names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from distillex.command.options import EXIT_PRECONDITION, fail
from distillex_client.errors import ExtractorError
from distillex_matcher import FeatureLayout, LayoutError, Lexicon, LexiconError
from distillex_matcher.exported import (
    GPU_NETWORK_FILE,
    NETWORK_FILE,
    WEIGHTS_FILE,
    ExportedFiles,
    refuse_former_shape,
)

from distillex_training.config.model_directory import read_description
from distillex_training.config.suggestions import nearest
from distillex_training.data.declaration import read_for_measuring
from distillex_training.data.records import read_records
from distillex_training.errors import DataError, ModelDirectoryError

NETWORK_SUFFIX = ".onnx"


@contextmanager
def wrong_use(command: str) -> Iterator[None]:
    """End a command with one sentence and exit code 2 where what it was given is wrong."""
    try:
        yield
    except (ExtractorError, LayoutError, LexiconError, OSError, ValueError) as error:
        fail(command, " ".join(str(error).splitlines()), EXIT_PRECONDITION)


def check_file(option: str, path: Path | None) -> None:
    """Check that a file that is to be read is there; None: none is.

    Raises
    ------
    ValueError
        Where it is not, or is a folder.
    """
    if path is not None and not path.is_file():
        raise ValueError(f"{option}: {path}: {'a folder; a file is accepted' if path.is_dir() else 'no such file'}")


def check_paths(option: str, paths: Iterable[Path]) -> None:
    """Check that files that are to be read are there, as :func:`check_file` does."""
    for path in paths:
        check_file(option, path)


def check_lexicon(path: Path | None) -> None:
    """Check that a compiled lexicon can be used; None: none is.

    Raises
    ------
    LexiconError, OSError
        Where it cannot be read.
    """
    if path is not None:
        Lexicon.load(path)


def exported_network(path: Path) -> Path | None:
    """Return the network of an exported model, None for the directory of a trained one.

    Parameters
    ----------
    path
        A ``.onnx`` file, or a folder; one that holds both is a trained model's. Of an exported model's two networks
        that for CPUs is meant.

    Raises
    ------
    LayoutError
        For a folder that an earlier version exported.
    ModelDirectoryError
        For a folder that holds no model.
    """
    if not path.is_dir():
        return path
    if (path / WEIGHTS_FILE).exists():
        return None
    for name in (NETWORK_FILE, GPU_NETWORK_FILE):
        if (path / name).exists():
            return path / name
    refuse_former_shape(path)
    raise ModelDirectoryError(
        f"{path}: {WEIGHTS_FILE} (of a trained model) and {NETWORK_FILE} (of an exported one) are missing"
    )


def types_of_model(path: Path) -> tuple[str, ...]:
    """Return the entity types of a model, trained or exported, of what lies beside its weights.

    Raises
    ------
    LayoutError, ModelDirectoryError
        For a path that holds no model, and for files that are missing, wrong or of two models.
    """
    if not path.exists():
        raise ModelDirectoryError(f"{path}: no such model; a model's folder or a {NETWORK_SUFFIX} file is accepted")
    network = exported_network(path)
    if network is None:
        return types_of_directory(path)
    if network.suffix != NETWORK_SUFFIX:
        raise ModelDirectoryError(f"{path}: no model; a model's folder or a {NETWORK_SUFFIX} file is accepted")
    return tuple(ExportedFiles.beside(network).crf.entity_types)


def check_labels(data: Path, declaration: Path | None, entity_types: Sequence[str]) -> None:
    """Check that a model has the labels of a file that it is measured on, where no declaration says what they mean.

    Raises
    ------
    DataError
        For a file that cannot be read, a wrong declaration, or a label that the model does not have.
    """
    check_file("DATA", data)
    check_file("--declaration", declaration)
    if declaration is not None:
        read_for_measuring(declaration, entity_types)
        return
    file = read_records(data)
    if not file.records and file.problems:
        raise DataError(str(file.problems[0]))
    for name in sorted(file.types - set(entity_types)):
        meant = nearest(name, entity_types)
        suggestion = f"did you mean {meant!r}? " if meant else ""
        raise DataError(
            f"{data}: the label {name!r} is unknown; {suggestion}the model has {', '.join(entity_types)} "
            "(a declaration says what other labels mean: docs/how-to/training.md)"
        )


def types_of_directory(path: Path) -> tuple[str, ...]:
    """Return the entity types of a trained model, as :func:`types_of_model` does.

    Raises
    ------
    LayoutError, ModelDirectoryError
        For a folder that training did not write.
    """
    if not path.is_dir():
        raise ModelDirectoryError(f"{path}: no such folder; a model directory is accepted")
    description = read_description(path)
    FeatureLayout.load(path)
    return description.config.entity_types
