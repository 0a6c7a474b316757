"""Check a command that uses a model, before torch is imported.

A wrong model, lexicon or file is answered in the time that it takes to read its names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distillex.command.options import EXIT_PRECONDITION, fail
from distillex.locations import shipped_base_lexicon
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
from distillex_training.errors import ConfigError, DataError, ModelDirectoryError

NETWORK_SUFFIX = ".onnx"


@contextmanager
def wrong_use(command: str) -> Iterator[None]:
    """End a command with one sentence and exit code 2 where what it was given is wrong."""
    try:
        yield
    except (ExtractorError, LayoutError, LexiconError, OSError, ValueError) as error:
        # An error of a labelled file has a line for each line of the file that is wrong.
        said = str(error) if isinstance(error, DataError) else " ".join(str(error).splitlines())
        fail(command, said, EXIT_PRECONDITION)


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


def check_model_output(output: Path, models: Sequence[Path]) -> None:
    """Check that a model directory can be written, and is none that is read.

    Raises
    ------
    ConfigError
        Where it is one of the models, or a file.
    """
    if output.resolve() in {directory.resolve() for directory in models}:
        which = "one of the models" if len(models) > 1 else "the model itself"
        raise ConfigError(f"{output} is {which}, which would be lost: give another directory")
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is a file; a model directory is written")


def check_alike(models: Sequence[Path]) -> None:
    """Check that models can have a mean, as far as what lies beside their weights tells.

    Raises
    ------
    ConfigError
        For models of other types, kinds, sizes or vocabularies, naming the first that differs.
    LayoutError, ModelDirectoryError
        For a folder that training did not write.
    """
    first, *others = (_shape(each) for each in models)
    for path, shape in zip(models[1:], others, strict=True):
        if shape[0] != first[0]:
            raise ConfigError(f"{path} labels {', '.join(shape[0])}; {models[0]}, {', '.join(first[0])}")
        if shape != first:
            raise ConfigError(f"{path}: not of the same kind, sizes, types and vocabulary as {models[0]}")


def _shape(directory: Path) -> tuple[tuple[str, ...], str, dict[str, Any], FeatureLayout]:
    """Return types, kind and settings but for the rates of dropout, which are training's, and the layout."""
    types, described = types_of_directory(directory), read_description(directory)
    settings = {name: value for name, value in vars(described.config).items() if not name.endswith("dropout")}
    return types, described.kind, settings, FeatureLayout.load(directory)


def read_base(path: Path | None) -> Lexicon:
    """Read a compiled base lexicon; None: the one that comes with distillex.

    Raises
    ------
    LexiconError
        For a file that is missing or no lexicon.
    """
    return Lexicon.load(path if path is not None else shipped_base_lexicon())


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
