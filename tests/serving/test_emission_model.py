"""The student's Triton model outside Triton: how it opens its network."""

import json
import os
import sys
from types import ModuleType

import pytest
from google.protobuf import text_format
from server_under_test import REPOSITORY

service = pytest.importorskip("tritonclient.grpc.model_config_pb2")


@pytest.fixture
def emission_model(monkeypatch):
    """The class, with a stand-in for what Triton's stub brings."""
    stub = ModuleType("triton_python_backend_utils")
    stub.TritonModelException = RuntimeError
    monkeypatch.setitem(sys.modules, stub.__name__, stub)
    from distillex_serving.python_models.emission_model import EmissionModel

    return EmissionModel


@pytest.mark.parametrize(("cores", "instances", "threads"), [(12, 2, 6), (5, 2, 2), (1, 2, 1)])
def test_instances_share_the_cores_that_the_server_may_use(emission_model, monkeypatch, cores, instances, threads):
    text = (REPOSITORY / "student" / "configs" / "cpu.pbtxt").read_text(encoding="utf-8")
    config = text_format.Parse(text, service.ModelConfig())
    parameters = {key: {"string_value": value.string_value} for key, value in config.parameters.items()}
    served = {"parameters": parameters, "instance_group": [{"count": instances}]}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr("distillex_matcher.cores._quotas", lambda _: [])
    model = emission_model()
    model.initialize(
        {
            "model_repository": str(REPOSITORY / "student"),
            "model_version": "1",
            "model_config": json.dumps(served),
        }
    )
    assert model._session.get_session_options().intra_op_num_threads == threads
