"""Triton Python model: emissions → entities."""

from distillex_serving.python_models.decode_model import DecodeModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
