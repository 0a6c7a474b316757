"""Put a trained model into a Triton model repository, or a student into its serving folder."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from distillex_matcher import CrfParameters, FeatureLayout, Features, LayoutError
from distillex_matcher.exported import CRF_FILE, ExportedFiles
from distillex_matcher.layout import FEATURES_FILE, VOCABULARY_FILE

from distillex_training.export.int8 import Int8, export_quantized
from distillex_training.models import ConstrainedCrf, Student, Teacher, load_model

LOG = logging.getLogger("distillex.export")
NETWORK_FILES = ("model.onnx", "model.plan", "model.plan.onnx", "model.plan.json")


def export_repository(
    model_directory: Path, repository: Path, *, int8: Int8 = Int8.TABLES, calibration: Sequence[Features] = ()
) -> list[Path]:
    """Write a model and all that serving reads of it.

    Parameters
    ----------
    model_directory
        A trained student: ``student/1/model.onnx``, ``decode/1/crf.json``, ``preprocess/1/{features.json,
        vocabulary.txt}``. Or a teacher: ``teacher/1/{model.onnx,features.json,vocabulary.txt}``,
        ``decode_teacher/1/crf.json`` (it is served beside a student and shares its ``preprocess``).
    repository
        The model repository, or a folder of the model's own, such as ``models/student-NAME/serving``.
    int8
        What is in 8 bits.
    calibration
        Batches for static int8.

    Returns
    -------
    list of Path
        The files written.
    """
    model, crf, layout = load_model(model_directory)
    repository.mkdir(parents=True, exist_ok=True)
    # All is there before anything is put in place: no failure and hardly a kill leaves files of two models.
    with tempfile.TemporaryDirectory(dir=repository, prefix=".export-") as folder:
        staged = Path(folder)
        network = model_folder(staged, model) / "model.onnx"
        export_quantized(model, layout, network, int8, calibration, crf=crf.parameters_for_serving())
        files = [network, *save_layout_and_crf(staged, model, layout, crf)]
        remove_networks_of_others(repository, model, layout, crf, kept="model.onnx")
        written = [repository / file.relative_to(staged) for file in files]
        for source, target in zip(files, written, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
    return written


def remove_networks_of_others(
    repository: Path, model: Student | Teacher, layout: FeatureLayout, crf: ConstrainedCrf, *, kept: str
) -> None:
    """Remove what another model left in a network's folder, where this one's CRF and layout take the other's place.

    Parameters
    ----------
    repository
        Where a model is put.
    model, layout, crf
        The model.
    kept
        The file that is written over, ``model.onnx`` or ``model.plan``; of its kin nothing is removed.
    """
    folder = model_folder(repository, model)
    if _beside(folder / "model.onnx") == (layout, crf.parameters_for_serving()):
        return
    for name in NETWORK_FILES:
        path = folder / name
        if path.exists() and name.startswith("model.plan") != kept.startswith("model.plan"):
            path.unlink()
            LOG.warning("%s removed: it is not known to be of this model", path)


def check_network_alone(network: Path, layout: FeatureLayout, crf: ConstrainedCrf) -> None:
    """Refuse to write a network alone into a repository whose CRF and layout are another model's.

    Raises
    ------
    ValueError
        Where they are.
    """
    if _beside(network) not in (None, (layout, crf.parameters_for_serving())):
        repository = network.resolve().parent.parent.parent
        raise ValueError(f"{repository} holds the CRF and the layout of another model: export the whole of it there")


def _beside(network: Path) -> tuple[FeatureLayout, CrfParameters] | None:
    try:
        there = ExportedFiles.beside(network)
    except (LayoutError, OSError):
        return None
    return there.layout, there.crf


def model_folder(repository: Path, model: Student | Teacher) -> Path:
    """Return the folder of a model's network."""
    return repository / ("student" if isinstance(model, Student) else "teacher") / "1"


def save_layout_and_crf(
    repository: Path, model: Student | Teacher, layout: FeatureLayout, crf: ConstrainedCrf
) -> list[Path]:
    """Write what ``preprocess`` and ``decode`` read."""
    of_student = isinstance(model, Student)
    crf_path = repository / ("decode" if of_student else "decode_teacher") / "1" / CRF_FILE
    crf.parameters_for_serving().save(crf_path)
    layout_folder = repository / ("preprocess" if of_student else "teacher") / "1"
    layout.save(layout_folder)
    return [crf_path, layout_folder / FEATURES_FILE, layout_folder / VOCABULARY_FILE]
