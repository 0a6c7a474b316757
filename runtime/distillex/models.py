"""Find a model: by a student's name, or by a folder written by export or training."""

from __future__ import annotations

import os
import re
from pathlib import Path

from distillex_client.errors import ModelNotFound
from distillex_matcher.exported import (
    EXPORTED_FILES,
    FILES_BESIDE,
    GPU_NETWORK_FILE,
    NETWORK_FILE,
    PLAN_FILE,
    TRAINED_FILES,
    WEIGHTS_FILE,
    ExportedFiles,
    refuse_former_shape,
)

from distillex.locations import shipped_models

DEFAULT_MODEL = "cluener"
TARGETS = {NETWORK_FILE: "", GPU_NETWORK_FILE: " --target gpu", PLAN_FILE: " --target tensorrt"}
"""Network → the option of ``distillex export`` that writes it."""
_NAME = re.compile(r"[\w.-]*")


def export_command(folder: Path, network: str) -> str:
    """Return the command that writes a folder's network: of the weights that lie there, where they do."""
    model = folder if (folder / WEIGHTS_FILE).is_file() else "MODEL"
    return f"distillex export {model} -o {folder}{TARGETS[network]}"


def known_models() -> dict[str, Path]:
    """Return the exported students by name.

    Looked at are the models that come with distillex, then the folder ``models`` where the process works; a student
    there hides a shipped one of its name.
    """
    found: dict[str, Path] = {}
    for models in (shipped_models(), Path("models").absolute()):
        for folder in sorted(models.glob("student-*")):
            if any((folder / network).is_file() for network in (NETWORK_FILE, GPU_NETWORK_FILE, PLAN_FILE)):
                found[folder.name.removeprefix("student-")] = folder
    return found


def is_trained_alone(folder: Path) -> bool:
    """Tell whether a folder holds a trained model that was not exported into it: PyTorch runs that."""
    return (folder / WEIGHTS_FILE).is_file() and not (folder / NETWORK_FILE).is_file()


def files_read(folder: Path) -> tuple[str, ...]:
    """Return the names of the files that extraction on a CPU reads of a folder."""
    return TRAINED_FILES if is_trained_alone(folder) else EXPORTED_FILES


def find_model(name_or_path: str | os.PathLike[str], network: str = NETWORK_FILE, *, or_trained: bool = False) -> Path:
    """Return the folder of an exported model.

    Parameters
    ----------
    name_or_path
        ``NAME`` of a student in ``models/student-NAME``, or a folder that ``distillex export`` wrote.
    network
        The file of the network that is needed.
    or_trained
        A model directory, as training writes it, will do where nothing was exported into it.

    Raises
    ------
    ModelNotFound
        For an unknown name (lists the known ones), a path that is no folder, or one that lacks a file.
    LayoutError
        For a folder whose layout and CRF are wrong, or of two models. Whether they are the network's own is checked
        when that is opened.
    """
    known = known_models()
    text = os.fspath(name_or_path)
    folder = known.get(text) if isinstance(name_or_path, str) else None
    if folder is None:
        folder = Path(text)
        if not text or not folder.is_dir():
            if isinstance(name_or_path, str) and _NAME.fullmatch(text):
                raise ModelNotFound(
                    f"unknown student {text!r}; known students: {', '.join(sorted(known)) or 'none'} (folders "
                    "models/student-NAME, which 'distillex export MODEL -o models/student-NAME' writes), or the path "
                    "of such a folder"
                )
            raise ModelNotFound(f"{folder}: {'not a folder' if folder.exists() else 'there is no such folder'}")
    if or_trained and is_trained_alone(folder):
        missing = [file for file in TRAINED_FILES if not (folder / file).is_file()]
        if missing:
            raise ModelNotFound(f"{folder}: {', '.join(missing)} missing; training writes {', '.join(TRAINED_FILES)}")
        return folder
    refuse_former_shape(folder)
    missing = [file for file in (network, *FILES_BESIDE) if not (folder / file).is_file()]
    if missing:
        raise ModelNotFound(
            f"{folder}: {', '.join(missing)} missing; '{export_command(folder, network)}' writes these files"
        )
    ExportedFiles.beside(folder / network)
    return folder
