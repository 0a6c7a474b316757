"""What a Python model is configured with: its folder, its parameters, the lexicon directory."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from distillex.device import CPU, Device, provider_named
from distillex.pipeline import PipelineOptions
from distillex.request_lexicons import Limits
from distillex_matcher.cores import usable_cores

LEXICON_DIRECTORY = "../lexicons"
"""Relative to the model repository, where neither DISTILLEX_LEXICON_DIR nor the parameter says another."""


@dataclass(frozen=True)
class ModelSettings:
    """Of one model, from the arguments of ``initialize``."""

    name: str
    folder: Path
    """Of the version that is served: holds ``model.py`` and the model's files."""
    lexicon_directory: Path
    options: PipelineOptions
    limits: Limits
    device: Device = CPU

    @staticmethod
    def of(args: dict[str, Any]) -> ModelSettings:
        """Read them.

        Raises
        ------
        pb_utils.TritonModelException
            For a parameter that is no number, out of range, or names no device.
        """
        config = json.loads(args["model_config"])
        texts = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
        home = Path(args["model_repository"])
        directory = os.environ.get("DISTILLEX_LEXICON_DIR")
        lexicons = Path(directory) if directory else home.parent / texts.get("lexicon_directory", LEXICON_DIRECTORY)
        try:
            numbers = {
                field: _number(field, texts[field])
                for kind in (PipelineOptions, Limits)
                for field in _fields(kind) & texts.keys()
            }
            if numbers.get("threads") == 0:
                instances = sum(group["count"] for group in config["instance_group"])
                numbers["threads"] = max(1, usable_cores() // instances)
            options = PipelineOptions(**{name: numbers[name] for name in _fields(PipelineOptions) & numbers.keys()})
            device = _device(texts)
            limits = Limits(**{name: numbers[name] for name in _fields(Limits) & numbers.keys()})
        except ValueError as error:
            raise pb_utils.TritonModelException(f"{args['model_name']} cannot start: its parameters: {error}") from None
        return ModelSettings(args["model_name"], home / args["model_version"], lexicons, options, limits, device)


def _device(texts: dict[str, str]) -> Device:
    device = Device.of(texts.get("device", "cpu"))
    if device.gpu is None:
        return device
    memory = _number("gpu_memory_mib", texts.get("gpu_memory_mib", "0"))
    graphs = _number("gpu_graphs", texts.get("gpu_graphs", "1")) != 0
    return Device(device.gpu, provider_named(texts.get("gpu_provider", "auto")), memory or None, graphs)


def _fields(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} {text!r}: a whole number is accepted") from None
