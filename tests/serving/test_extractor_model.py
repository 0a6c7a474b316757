"""The extractor's Python model outside Triton, where a test decides which requests share one call."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from distillex.errors import DeviceError
from distillex.models import find_model
from distillex_matcher import Lexicon
from distillex_matcher.exported import EXPORTED_FILES
from distillex_matcher.lexicon_store import LexiconStore
from server_under_test import LEXICONS

TEXT = "近日，青石云科发布了新一代平台，董事长王大力出席。"
WORDS = json.dumps({"青石云科": "company"}, ensure_ascii=False)
INVALID, INTERNAL = "invalid", "internal"


class Tensor:
    def __init__(self, name, values):
        self._name, self._values = name, values

    def name(self):
        return self._name

    def as_numpy(self):
        return self._values


class Request(dict):
    """Inputs by name, each a list of rows."""

    outputs = ("ENTITIES", "LEXICON_VERSION")

    def requested_output_names(self):
        return self.outputs


@pytest.fixture
def triton(monkeypatch):
    """A stand-in for what Triton's stub brings; ``logged`` has the log's lines."""
    stub = ModuleType("triton_python_backend_utils")
    stub.logged = []
    stub.Tensor = Tensor
    stub.TritonModelException = RuntimeError
    stub.TritonError = type(
        "TritonError",
        (),
        {
            "INVALID_ARG": INVALID,
            "INTERNAL": INTERNAL,
            "__init__": lambda self, message, code: self.__dict__.update(message=message, code=code),
        },
    )
    stub.InferenceResponse = lambda tensors=(), error=None: SimpleNamespace(tensors=tensors, error=error)
    series = SimpleNamespace(increment=lambda count: None, set=lambda value: None)
    stub.MetricFamily = lambda **described: SimpleNamespace(Metric=lambda labels: series)
    stub.MetricFamily.COUNTER = stub.MetricFamily.GAUGE = None
    stub.Logger = SimpleNamespace(log_error=stub.logged.append, log_info=lambda line: None)

    def tensor_of(request, name):
        rows = request.get(name)
        if rows is None:
            return None
        return Tensor(name, np.array([row.encode() if isinstance(row, str) else row for row in rows], dtype=object))

    stub.get_input_tensor_by_name = tensor_of
    models = "distillex_serving.python_models."
    for name in [each for each in sys.modules if each.startswith(models)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, stub.__name__, stub)
    yield stub
    for name in [each for each in sys.modules if each.startswith(models)]:
        monkeypatch.delitem(sys.modules, name)


def test_metrics_tell_of_so_many_lexicons_at_most_whatever_comes_and_goes(triton, tmp_path, monkeypatch):
    metrics = importlib.import_module("distillex_serving.python_models.lexicon_metrics")
    monkeypatch.setattr(metrics, "MOST_LEXICONS", 3)
    monkeypatch.setattr(metrics, "PERIOD_S", 1000)
    series = SimpleNamespace(set=lambda value: None)
    triton.MetricFamily = lambda **described: SimpleNamespace(Metric=lambda labels: told.append(labels) or series)
    triton.MetricFamily.GAUGE = None
    told = []
    store = LexiconStore(tmp_path)
    looking = metrics.LexiconMetrics(store)
    looking.stop()
    for name in ("one", "two", "three", "four", "five"):
        store.install(name, Lexicon.from_words({"甲": "n"}).to_bytes(), lambda lexicon: None)
        looking._tell()
        shutil.rmtree(tmp_path / name)
    assert {each["lexicon"] for each in told if each} == {"one", "two", "three"}
    assert triton.logged == ["the metrics tell of 3 lexicons; 'four' is one more"]


@pytest.fixture
def model(triton, tmp_path, monkeypatch):
    """The opened model."""
    monkeypatch.setenv("DISTILLEX_LEXICON_DIR", str(LEXICONS))
    (tmp_path / "extractor" / "1").mkdir(parents=True)
    for file in EXPORTED_FILES:
        (tmp_path / "extractor" / "1" / file).symlink_to(find_model("cluener") / file)
    opened = importlib.import_module("distillex_serving.python_models.extractor_model").ExtractorModel()
    opened.initialize(
        {
            "model_name": "extractor",
            "model_repository": str(tmp_path / "extractor"),
            "model_version": "1",
            "model_config": json.dumps({"parameters": {"threads": {"string_value": "2"}}}),
        }
    )
    yield opened
    opened.finalize()


def told(response):
    """Of an answer, its rows and versions; of an error, its code and sentence."""
    if response.error is not None:
        return response.error.code, response.error.message
    values = {tensor.name(): tensor.as_numpy() for tensor in response.tensors}
    assert {array.shape[1:] for array in values.values()} == {(1,)}
    rows = [json.loads(row) for row in values["ENTITIES"][:, 0]]
    return rows, [label.decode() for label in values["LEXICON_VERSION"][:, 0]]


def test_requests_of_every_kind_that_share_a_call_are_answered_as_if_they_came_alone(model, triton):
    requests = [
        Request(TEXT=[TEXT]),
        Request(TEXT=[TEXT, "张三"], LEXICON=[WORDS, ""]),
        Request(LEXICON=[WORDS]),
        Request(TEXT=[TEXT, TEXT], LEXICON=[WORDS]),
        Request(TEXT=[TEXT], LEXICON_NAME=["base"]),
        Request(TEXT=[""]),
        Request(TEXT=[TEXT] * 3, LEXICON=["{", "", WORDS]),
        Request(TEXT=[TEXT], LEXICON_NAME=["unknown"]),
        Request(TEXT=["长" * 511, TEXT * 20, "a\0b"]),
        Request(TEXT=[TEXT * 15] * 64),
        Request(TEXT=[TEXT, TEXT, TEXT], LEXICON=[WORDS] * 3, TRUST=["hint", "must", "insist"]),
        Request(TEXT=[TEXT], TRUST=["insist"]),
        Request(TEXT=[TEXT], TRUST=["1001"]),
    ]
    together = [told(response) for response in model.execute(requests)]
    assert together == [told(model.execute([request])[0]) for request in requests]
    assert triton.logged == []
    assert together[1][1] == ["base@1+request", "base@1"]
    assert together[0][0] != together[1][0][:1]
    assert together[2] == (INVALID, "the input TEXT is missing")
    assert together[3] == (INVALID, "LEXICON has 1 rows; TEXT has 2")
    assert together[4] == together[0]
    assert together[5][0] == INVALID
    assert [set(row) if isinstance(row, dict) else len(row) > 0 for row in together[6][0]] == [{"error"}, True, True]
    assert together[7] == (INVALID, "LEXICON_NAME: no lexicon 'unknown' is installed")
    assert len(together[9][0]) == 64
    hinted, bad, insisted = together[10][0]
    assert hinted != insisted
    assert bad["error"].startswith("TRUST: the trust 'must' is not accepted")
    assert together[11] == together[0]
    assert together[12][0] == INVALID


def test_the_versions_go_to_those_who_ask_for_them(model):
    silent = Request(TEXT=[TEXT])
    silent.outputs = ("ENTITIES",)
    answers = model.execute([silent, Request(TEXT=[TEXT])])
    assert [[tensor.name() for tensor in answer.tensors] for answer in answers] == [
        ["ENTITIES"],
        ["ENTITIES", "LEXICON_VERSION"],
    ]


@pytest.mark.parametrize("raised", [MemoryError("no memory"), RecursionError("too deep"), OSError(5, "Input/output")])
def test_what_nobody_expected_fails_its_own_request_alone_and_the_log_says_why(model, triton, monkeypatch, raised):
    answer = model._pipeline.answer

    def fail(texts, **others):
        if "炸".encode() in texts:
            raise raised
        return answer(texts, **others)

    monkeypatch.setattr(model._pipeline, "answer", fail)
    requests = [Request(TEXT=[TEXT]), Request(TEXT=["炸"]), Request(TEXT=[TEXT], LEXICON=[WORDS])]
    first, broken, last = [told(response) for response in model.execute(requests)]
    assert first[0][0]
    assert broken == (INTERNAL, "the text could not be extracted; the server's log says why")
    assert last[1] == ["base@1+request"]
    assert triton.logged
    assert all(line.startswith("extractor: Traceback") and type(raised).__name__ in line for line in triton.logged)


def test_what_the_log_says_of_it_holds_no_text(model, triton, monkeypatch):
    """Python's own exceptions quote what they were given."""

    def fail(texts, **others):
        try:
            return {}[texts[0].decode()]
        except KeyError:
            return int(texts[0].decode())

    monkeypatch.setattr(model._pipeline, "answer", fail)
    [response] = model.execute([Request(TEXT=[TEXT])])
    assert told(response) == (INTERNAL, "the text could not be extracted; the server's log says why")
    [line] = triton.logged
    assert TEXT not in line
    assert repr(TEXT)[1:-1] not in line
    assert re.findall(r"^(\w+)$", line, re.MULTILINE) == ["KeyError", "ValueError"]
    assert line.count("test_extractor_model.py") == 2


def test_a_gpu_that_failed_ends_the_process_which_is_started_anew(model, triton, monkeypatch):
    def fail(*_, **__):
        raise DeviceError("GPU 0 (NVIDIA T4): the run of 1 x 32 failed: CUDA failure 700")

    monkeypatch.setattr(model._pipeline, "answer", fail)
    monkeypatch.setattr("os._exit", lambda code: (_ for _ in ()).throw(SystemExit(code)))
    for requests in ([Request(TEXT=[TEXT])], [Request(TEXT=[TEXT]), Request(TEXT=["张三"])]):
        with pytest.raises(SystemExit, match="1"):
            model.execute(requests)
    assert all("CUDA failure 700" in line for line in triton.logged)
    assert triton.logged


def test_a_text_that_is_refused_lengthens_no_other_and_is_not_computed_with_the_long_ones(model, monkeypatch):
    run, shapes = model._pipeline._network.run, []
    monkeypatch.setattr(
        model._pipeline._network, "run", lambda ids, *others: shapes.append(ids.shape) or run(ids, *others)
    )
    model.execute([Request(TEXT=["张三在北京。", "长" * 511, "长" * 100_000, b"\xff" * 700, "李四在上海。"])])
    assert shapes
    assert max(tokens for _, tokens in shapes) <= 8
    shapes.clear()
    model.execute([Request(TEXT=["长" * 511] * 8)])
    assert shapes == []
