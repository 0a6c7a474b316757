"""Triton Python model: texts → entities, in one process (configs/cpu.pbtxt, gpu.pbtxt; an ensemble does without)."""

from distillex_serving.python_models.extractor_model import ExtractorModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
