"""Triton Python model: texts → entities, in one process (configs/cpu.pbtxt and gpu.pbtxt; an ensemble has no use for it)."""

from distillex_serving.python_models.extractor_model import ExtractorModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
