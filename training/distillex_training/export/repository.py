"""Put a trained model into a Triton model repository."""

from __future__ import annotations

from pathlib import Path

from distillex_training.export.onnx import export_onnx
from distillex_training.export.quantize import quantize_tables
from distillex_training.models import Student, load_model


def export_repository(model_directory: Path, repository: Path, *, int8: bool = True) -> list[Path]:
    """Write ``student/1/model.onnx``, ``decode/1/crf.json`` and ``preprocess/1/{features.json,vocabulary.txt}``.

    Parameters
    ----------
    model_directory
        A trained student, or a teacher (written to ``teacher/1/``; layout and CRF are left as they are).
    repository
        The model repository.
    int8
        Store a student's tables in int8.

    Returns
    -------
    list of Path
        The files written.
    """
    model, crf, layout = load_model(model_directory)
    if not isinstance(model, Student):
        path = repository / "teacher" / "1" / "model.onnx"
        export_onnx(model, layout, path)
        return [path]
    path = repository / "student" / "1" / "model.onnx"
    export_onnx(quantize_tables(model) if int8 else model, layout, path)
    crf_path = repository / "decode" / "1" / "crf.json"
    crf.parameters_for_serving().save(crf_path)
    layout.save(repository / "preprocess" / "1")
    return [path, crf_path, repository / "preprocess" / "1"]
