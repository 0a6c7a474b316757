"""Triton Python model: the network on ONNX Runtime, for machines without a GPU."""

from distillex_serving.python_models.emission_model import EmissionModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
