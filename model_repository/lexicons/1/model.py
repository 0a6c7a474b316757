"""Triton Python model: install, list, roll back, prune and remove named lexicons."""

from distillex_serving.python_models.lexicons_model import LexiconsModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
