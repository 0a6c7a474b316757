"""Put a trained model into a Triton model repository, or a student into its serving folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distillex_matcher import CrfParameters, FeatureLayout, Features
from distillex_matcher.layout import FEATURES_FILE, VOCABULARY_FILE

from distillex_training.export.int8 import Int8, export_quantized
from distillex_training.models import ConstrainedCrf, Student, Teacher, load_model


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
    path = model_folder(repository, model) / "model.onnx"
    export_quantized(model, layout, path, int8, calibration)
    return [path, *save_layout_and_crf(repository, model, layout, crf)]


def model_folder(repository: Path, model: Student | Teacher) -> Path:
    """Return the folder of a model's network."""
    return repository / ("student" if isinstance(model, Student) else "teacher") / "1"


def save_layout_and_crf(
    repository: Path, model: Student | Teacher, layout: FeatureLayout, crf: ConstrainedCrf
) -> list[Path]:
    """Write what ``preprocess`` and ``decode`` read."""
    of_student = isinstance(model, Student)
    crf_path = repository / ("decode" if of_student else "decode_teacher") / "1" / "crf.json"
    crf.parameters_for_serving().save(crf_path)
    layout_folder = repository / ("preprocess" if of_student else "teacher") / "1"
    layout.save(layout_folder)
    return [crf_path, layout_folder / FEATURES_FILE, layout_folder / VOCABULARY_FILE]


def is_teacher(network: Path) -> bool:
    """Tell whether an exported network is a teacher's: its layout lies beside it, a student's in ``preprocess``."""
    return (network.parent / FEATURES_FILE).exists()


def load_layout_and_crf(network: Path) -> tuple[FeatureLayout, CrfParameters]:
    """Read what :func:`save_layout_and_crf` wrote for the network ``…/student/1/model.onnx`` or ``…/teacher/1/…``.

    Raises
    ------
    LayoutError
        For a missing or wrong file.
    """
    repository, of_teacher = network.resolve().parent.parent.parent, is_teacher(network)
    layout = FeatureLayout.load(network.parent if of_teacher else repository / "preprocess" / "1")
    return layout, CrfParameters.load(repository / ("decode_teacher" if of_teacher else "decode") / "1" / "crf.json")
