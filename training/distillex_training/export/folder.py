"""The folder of an exported model: network, layout, vocabulary and CRF side by side, put in place together."""

from __future__ import annotations

import contextlib
import filecmp
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from distillex_matcher import CrfParameters, FeatureLayout, Features, LayoutError
from distillex_matcher.exported import (
    CRF_FILE,
    FILES_BESIDE,
    GPU_NETWORK_FILE,
    NETWORK_FILE,
    PLAN_FILES,
    TRAINED_FILES,
    WEIGHTS_FILE,
)

from distillex_training.export.int8 import export_quantized
from distillex_training.export.onnx import export_onnx
from distillex_training.export.options import Int8
from distillex_training.models import Student, Teacher, load_model

LOG = logging.getLogger("distillex.export")


def export_folder(
    model_directory: Path, folder: Path, *, int8: Int8 = Int8.TABLES, calibration: Sequence[Features] = ()
) -> list[Path]:
    """Write a student or a teacher with all that extraction reads of it.

    Parameters
    ----------
    model_directory
        The trained model.
    folder
        Gets ``model.onnx``, ``features.json``, ``vocabulary.txt``, ``crf.json``. It may be the model directory itself.
    int8
        What is in 8 bits.
    calibration
        Batches for static int8.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ParityError
        As of :func:`~distillex_training.export.int8.export_quantized`.
    ValueError
        For a folder that cannot hold this model.
    """
    return _export(
        model_directory,
        folder,
        lambda model, layout, staging, crf: export_quantized(
            model, layout, staging / NETWORK_FILE, int8, calibration, crf=crf
        ),
    )


def export_gpu_folder(model_directory: Path, folder: Path, *, half: bool = True) -> list[Path]:
    """Write the network for GPUs, ``model.gpu.onnx``, and what is read beside it.

    Parameters
    ----------
    model_directory, folder
        As of :func:`export_folder`.
    half
        In float16; else in float32.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ParityError
        As of :func:`~distillex_training.export.onnx.export_onnx`.
    ValueError
        For a folder that cannot hold this model.
    """
    return _export(
        model_directory,
        folder,
        lambda model, layout, staging, crf: export_onnx(model, layout, staging / GPU_NETWORK_FILE, crf=crf, half=half),
    )


def _export(
    model_directory: Path,
    folder: Path,
    write: Callable[[Student | Teacher, FeatureLayout, Path, CrfParameters], object],
) -> list[Path]:
    """Load a model, let ``write`` put its network into a folder, and move that in place with the files beside it."""
    model, crf, layout = load_model(model_directory)
    parameters = crf.parameters_for_serving()
    with staged(model_directory, folder) as staging:
        write(model, layout, staging, parameters)
        return put_in_place(staging, folder, layout, parameters)


@contextlib.contextmanager
def staged(model_directory: Path, folder: Path) -> Iterator[Path]:
    """Give a place for the files of an export inside its folder, which goes with whatever is left in it.

    Raises
    ------
    ValueError
        For a folder that cannot hold this model's files.
    """
    check_folder(model_directory, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as name:
        yield Path(name)


def put_in_place(staging: Path, folder: Path, layout: FeatureLayout, crf: CrfParameters) -> list[Path]:
    """Write layout and CRF beside a staged network, and move all into the folder.

    All is there before anything is put in place: no failure and hardly a kill leaves files of two models. Networks of
    the other kind (plan or ONNX) that belong to another layout or CRF are removed.
    """
    layout.save(staging)
    crf.save(staging / CRF_FILE)
    files = sorted(staging.iterdir())
    others = _of_another_model(folder, layout, crf, missing_too=True)
    for name in (NETWORK_FILE, GPU_NETWORK_FILE, *PLAN_FILES):
        path = folder / name
        if others and path.exists() and not (staging / name).exists():
            path.unlink()
            LOG.warning("%s removed: it is not known to be of this model", path)
    return [source.replace(folder / source.name) for source in files]


def check_folder(model_directory: Path, folder: Path) -> None:
    """Refuse a folder that cannot hold a model's files.

    Raises
    ------
    ValueError
        For a file, for Triton's configurations, and for the directory of another trained model.
    """
    check_place(folder)
    if next(folder.glob("*/config.pbtxt"), None) is not None:
        raise ValueError(
            f"{folder} is a model repository, which holds configurations alone: export to a folder of the model's own, "
            "such as models/student-NAME"
        )
    if not (folder / WEIGHTS_FILE).exists():
        return
    for name in TRAINED_FILES:
        there = folder / name
        if there.exists() and not filecmp.cmp(there, model_directory / name, shallow=False):
            raise ValueError(
                f"{there} is not that of {model_directory}: {folder} holds another trained model; "
                "export to a folder of its own, or from there"
            )


def check_place(folder: Path) -> None:
    """Refuse what is a file, or lies below one.

    Raises
    ------
    ValueError
        Naming it.
    """
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise ValueError(f"{path} is a file: a folder is expected there")


def check_network_alone(network: Path, layout: FeatureLayout, crf: CrfParameters) -> None:
    """Refuse to write a network alone beside a CRF or a layout of another model.

    Raises
    ------
    ValueError
        Where they are.
    """
    check_place(network.parent)
    if network.is_dir():
        raise ValueError(f"{network} is a folder: a file is expected there")
    if _of_another_model(network.parent, layout, crf, missing_too=False):
        raise ValueError(
            f"{network.resolve().parent} holds the CRF or the layout of another model: export the whole of it there"
        )


def put_beside(network: Path, layout: FeatureLayout, crf: CrfParameters) -> list[Path]:
    """Write what is read beside a network into its folder, where it is not there yet; returned is what was written."""
    folder = network.parent
    written = [folder / name for name in FILES_BESIDE if not (folder / name).exists()]
    if any(path.name != CRF_FILE for path in written):
        layout.save(folder)
    if folder / CRF_FILE in written:
        crf.save(folder / CRF_FILE)
    return written


def _of_another_model(folder: Path, layout: FeatureLayout, crf: CrfParameters, *, missing_too: bool) -> bool:
    """Tell whether the layout or the CRF in a folder differs; ``missing_too``: or cannot be read."""
    there: list[tuple[object, object]] = []
    with contextlib.suppress(LayoutError):
        there.append((FeatureLayout.load(folder), layout))
    with contextlib.suppress(LayoutError):
        there.append((CrfParameters.load(folder / CRF_FILE), crf))
    return any(found != own for found, own in there) or (missing_too and len(there) < 2)
