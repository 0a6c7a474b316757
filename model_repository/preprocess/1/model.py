"""Triton Python model: texts and lexicons → the network's inputs."""

from distillex_serving.python_models.preprocess_model import PreprocessModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
