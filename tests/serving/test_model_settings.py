"""What the Triton models read out of their configurations, outside Triton."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from distillex.device import Device
from distillex.pipeline import PipelineOptions
from google.protobuf import text_format
from server_under_test import REPOSITORY

service = pytest.importorskip("tritonclient.grpc.model_config_pb2")


@pytest.fixture
def settings(monkeypatch):
    """Read the settings of the shipped extractor, with some changed; with a stand-in for what Triton's stub brings."""
    stub = ModuleType("triton_python_backend_utils")
    stub.TritonModelException = RuntimeError
    monkeypatch.setitem(sys.modules, stub.__name__, stub)
    # What was imported in Triton's absence goes with the stand-in.
    monkeypatch.delitem(sys.modules, "distillex_serving.python_models.settings", raising=False)
    from distillex_serving.python_models.settings import ModelSettings

    monkeypatch.delitem(sys.modules, "distillex_serving.python_models.settings")
    monkeypatch.delenv("DISTILLEX_LEXICON_DIR", raising=False)

    def read(instances=2, configuration="cpu.pbtxt", **changed):
        text = (REPOSITORY / "extractor" / "configs" / configuration).read_text(encoding="utf-8")
        config = text_format.Parse(text, service.ModelConfig())
        parameters = {key: value.string_value for key, value in config.parameters.items()} | changed
        served = {
            "parameters": {key: {"string_value": value} for key, value in parameters.items()},
            "instance_group": [{"count": instances}],
        }
        return ModelSettings.of(
            {
                "model_name": "extractor",
                "model_repository": "/somewhere/repository/extractor",
                "model_version": "3",
                "model_config": json.dumps(served),
            }
        )

    return read


@pytest.mark.parametrize(("cores", "instances", "threads"), [(12, 2, 6), (5, 2, 2), (1, 2, 1)])
def test_instances_share_the_cores_that_the_server_may_use(settings, monkeypatch, cores, instances, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr("distillex_matcher.cores._quotas", lambda _: [])
    assert settings(instances).options.threads == threads
    assert settings(instances, threads="3").options.threads == 3


def test_limits_and_folders_are_read(settings, monkeypatch):
    found = settings(max_lexicon_entries="7", most_tokens_per_run="512")
    assert found.limits.max_lexicon_entries == 7
    assert found.options.most_tokens_per_run == 512
    assert found.folder == Path("/somewhere/repository/extractor/3")
    assert found.lexicon_directory.resolve() == Path("/somewhere/lexicons")
    assert settings(lexicon_directory="/other").lexicon_directory == Path("/other")
    monkeypatch.setenv("DISTILLEX_LEXICON_DIR", "/elsewhere")
    assert settings(lexicon_directory="/other").lexicon_directory == Path("/elsewhere")


@pytest.mark.parametrize(
    "changed", [{"threads": "many"}, {"threads": "-1"}, {"call_cost_tokens": ""}, {"most_tokens_per_run": "0"}]
)
def test_a_parameter_that_is_no_number_or_out_of_range_is_named(settings, changed):
    with pytest.raises(RuntimeError, match="extractor cannot start: its parameters: ") as refused:
        settings(**changed)
    (name,) = changed
    assert name in str(refused.value)


def test_the_configuration_for_gpus_names_the_device(settings):
    assert settings().device == Device()
    found = settings(configuration="gpu.pbtxt")
    assert found.device == Device(0)
    assert dataclasses.replace(found.options, threads=1) == PipelineOptions.of(Device(0), 1)
    told = settings(
        configuration="gpu.pbtxt", device="gpu:2", gpu_provider="cuda", gpu_memory_mib="700", gpu_graphs="0"
    )
    assert told.device == Device(2, "cuda", 700, graphs=False)


@pytest.mark.parametrize("changed", [{"device": "gpus"}, {"gpu_provider": "rocm"}, {"gpu_memory_mib": "-1"}])
def test_a_device_that_is_none_is_refused(settings, changed):
    with pytest.raises(RuntimeError, match=r"extractor cannot start: its parameters: .*accepted"):
        settings(configuration="gpu.pbtxt", **changed)
