"""Put a trained model into a Triton model repository, or a student into its serving folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distillex_matcher import FeatureLayout, Features
from distillex_matcher.exported import CRF_FILE
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
    crf_path = repository / ("decode" if of_student else "decode_teacher") / "1" / CRF_FILE
    crf.parameters_for_serving().save(crf_path)
    layout_folder = repository / ("preprocess" if of_student else "teacher") / "1"
    layout.save(layout_folder)
    return [crf_path, layout_folder / FEATURES_FILE, layout_folder / VOCABULARY_FILE]
