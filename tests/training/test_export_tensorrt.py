"""TensorRT export. What needs no GPU is tested here; the test marked ``tensorrt`` builds a real plan where one is.

The recorded interfaces below prove that we call nothing which one of the two versions lacks; they do not prove that
TensorRT builds the network.
"""

import importlib.util
import types

import numpy as np
import onnx
import pytest
import torch
from distillex_matcher import FeatureLayout
from distillex_matcher.exported import EXPORTED_FILES, ExportedFiles
from distillex_training.export import tensorrt as tensorrt_module
from distillex_training.export.onnx import INPUT_NAMES, export_onnx, open_session, random_inputs
from distillex_training.export.plan_metadata import PlanMetadata, sha256_of
from distillex_training.export.plan_profile import ShapeRange, check_interface, optimization_profile
from distillex_training.export.tensorrt import PlanOptions, TensorRtError, build_plan, export_plan, load_tensorrt
from distillex_training.models import load_model


def test_the_profile_spans_all_batches_and_buckets(toy_student):
    layout = load_model(toy_student)[2]
    assert optimization_profile(layout) == {
        "INPUT_IDS": ShapeRange((1, 16), (32, 64), (64, 512)),
        "LEXICON_TYPES": ShapeRange((1, 16, 4, 4), (32, 64, 4, 4), (64, 512, 4, 4)),
        "LEXICON_WORDS": ShapeRange((1, 16, 4, 4), (32, 64, 4, 4), (64, 512, 4, 4)),
        "LEXICON_WEIGHTS": ShapeRange((1, 16, 4, 4), (32, 64, 4, 4), (64, 512, 4, 4)),
    }
    other = FeatureLayout(("[PAD]",), ("n",), words_per_slot=2, buckets=(8, 40, 100))
    assert optimization_profile(other)["LEXICON_TYPES"] == ShapeRange((1, 8, 4, 2), (32, 40, 4, 2), (64, 100, 4, 2))


@pytest.fixture(scope="module")
def half_onnx(toy_student, tmp_path_factory):
    model, _, layout = load_model(toy_student)
    path = tmp_path_factory.mktemp("half") / "model.onnx"
    export_onnx(model, layout, path, half=True)
    return path


def test_a_float16_network_keeps_its_interface_and_holds_no_float32_weights(half_onnx):
    check_interface(half_onnx)
    graph = onnx.shape_inference.infer_shapes(onnx.load(half_onnx)).graph
    assert not any(i.data_type == onnx.TensorProto.FLOAT for i in graph.initializer)
    inner = [value.type.tensor_type.elem_type for value in graph.value_info]
    assert inner.count(onnx.TensorProto.FLOAT16) > 20
    assert inner.count(onnx.TensorProto.FLOAT) <= 2


def test_a_float16_network_stays_near_float32_on_real_tokens(half_onnx, toy_student):
    model, _, layout = load_model(toy_student)
    session = open_session(half_onnx, threads=1)
    for batch, tokens in ((1, 16), (7, 33), (2, 512)):
        inputs = random_inputs(layout, batch, tokens, seed=4)
        with torch.no_grad():
            expected = model(*inputs).numpy()
        found = session.run(None, {n: t.numpy() for n, t in zip(INPUT_NAMES, inputs, strict=True)})[0]
        assert found.dtype == np.float32
        real = inputs[0].numpy() != 0
        assert np.abs(found - expected)[real].max() <= 2e-3 * np.abs(expected[real]).max()


def test_a_network_with_another_interface_is_refused(half_onnx, tmp_path):
    model = onnx.load(half_onnx)
    model.graph.input[3].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(
        ValueError, match=r"LEXICON_WEIGHTS FLOAT16, EMISSIONS FLOAT; served are .* LEXICON_WEIGHTS FLOAT,"
    ):
        check_interface(tmp_path / "model.onnx")


def test_metadata_come_back_as_they_were_written(toy_student, tmp_path):
    profile = optimization_profile(load_model(toy_student)[2])
    metadata = PlanMetadata(
        "10.16.1", "NVIDIA H100", "9.0", "fp16", True, sha256_of(b"onnx"), sha256_of(b"plan"), profile, 0.01, 0.1
    )
    metadata.save(tmp_path / "model.plan.json")
    assert PlanMetadata.load(tmp_path / "model.plan.json") == metadata
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="not plan metadata of format 1"):
        PlanMetadata.load(tmp_path / "other.json")


def test_without_tensorrt_the_error_says_how_to_get_it(toy_student, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    with pytest.raises(
        TensorRtError, match=r"pip install 'distillex\[tensorrt\]', or run in NVIDIA's TensorRT container"
    ):
        export_plan(toy_student, tmp_path, PlanOptions())
    assert list(tmp_path.iterdir()) == []


class Recorder:
    """Remembers every call and answers it from a table, else with True."""

    def __init__(self, calls, answers=None):
        self._calls = calls
        self._answers = answers or {}

    def __getattr__(self, name):
        def call(*arguments):
            self._calls.append((name, *arguments))
            return self._answers.get(name, True)

        return call


def recorded_tensorrt(version, builder_flags, network_flags, cache_fits=True):
    """The names that the Python bindings of a version hold (checked against 10.16.1 and 11.4.0), and no others."""
    calls = []

    class Cache:
        def serialize(self):
            return b"new cache"

    class Config(Recorder):
        def create_timing_cache(self, content):
            calls.append(("create_timing_cache", content))
            return Cache()

        def set_timing_cache(self, cache, ignore_mismatch):
            calls.append(("set_timing_cache", ignore_mismatch))
            return cache_fits

        def get_timing_cache(self):
            return Cache()

    def builder(_):
        answers = {
            "create_builder_config": Config(calls),
            "create_optimization_profile": Recorder(calls),
            "build_serialized_network": b"plan",
        }
        return Recorder(calls, answers)

    class Logger:
        WARNING = 1

        def __init__(self, severity):
            pass

    class OnnxParser:
        num_errors = 1

        def __init__(self, network, logger):
            pass

        def parse(self, content):
            return content == b"onnx"

        def get_error(self, index):
            return "node 3: no such operator"

    module = types.SimpleNamespace(
        __version__=version,
        Logger=Logger,
        Builder=builder,
        OnnxParser=OnnxParser,
        BuilderFlag=types.SimpleNamespace(**{name: name for name in builder_flags}),
        NetworkDefinitionCreationFlag=types.SimpleNamespace(**network_flags),
    )
    return module, calls


VERSIONS = [
    ("10.16.1.11", ("FP16", "TF32", "VERSION_COMPATIBLE"), {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}, 2),
    ("11.4.0.106", ("TF32", "VERSION_COMPATIBLE"), {"STRONGLY_TYPED": 1}, 0),
]


@pytest.mark.parametrize(("version", "builder_flags", "network_flags", "expected"), VERSIONS)
def test_both_versions_are_asked_for_a_strongly_typed_network(
    version, builder_flags, network_flags, expected, tmp_path
):
    trt, calls = recorded_tensorrt(version, builder_flags, network_flags)
    profile = {"INPUT_IDS": ShapeRange((1, 16), (32, 64), (64, 512))}
    cache = tmp_path / "cache" / "timing"
    assert build_plan(trt, b"onnx", profile, PlanOptions(timing_cache=cache, version_compatible=True)) == b"plan"
    assert ("create_network", expected) in calls
    assert ("set_shape", "INPUT_IDS", (1, 16), (32, 64), (64, 512)) in calls
    assert ("set_flag", "VERSION_COMPATIBLE") in calls
    assert not any(call[0] == "clear_flag" for call in calls)
    assert cache.read_bytes() == b"new cache"
    build_plan(trt, b"onnx", profile, PlanOptions(half=False, timing_cache=cache))
    assert ("clear_flag", "TF32") in calls
    assert ("create_timing_cache", b"new cache") in calls


def test_a_timing_cache_of_another_machine_is_replaced(tmp_path):
    version, builder_flags, network_flags, _ = VERSIONS[1]
    trt, calls = recorded_tensorrt(version, builder_flags, network_flags, cache_fits=False)
    (tmp_path / "timing").write_bytes(b"old cache")
    build_plan(trt, b"onnx", {}, PlanOptions(timing_cache=tmp_path / "timing"))
    assert [call[1] for call in calls if call[0] == "create_timing_cache"] == [b"old cache", b""]


def test_the_parsers_words_reach_the_user():
    trt, _ = recorded_tensorrt(*VERSIONS[1][:3])
    with pytest.raises(TensorRtError, match="cannot read the ONNX model: node 3: no such operator"):
        build_plan(trt, b"other", {}, PlanOptions())


def test_another_version_is_refused(monkeypatch):
    module = types.ModuleType("tensorrt")
    module.__version__ = "8.6.1"
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", module)
    with pytest.raises(TensorRtError, match=r"TensorRT 8\.6\.1 is not supported; versions 10 and 11 are"):
        load_tensorrt()


@pytest.fixture
def built(monkeypatch):
    """A machine that builds plans: all but TensorRT's and the GPU's own part is real. Set ``difference``."""
    measured = types.SimpleNamespace(difference=0.5)
    module = types.SimpleNamespace(__version__="11.4.0")
    monkeypatch.setattr(tensorrt_module, "load_tensorrt", lambda: module)
    monkeypatch.setattr(tensorrt_module, "build_plan", lambda *_: b"plan")
    monkeypatch.setattr(tensorrt_module, "compare_plan", lambda *_: (measured.difference, 1.0))
    gpu = types.SimpleNamespace(
        is_available=lambda: True, get_device_name=lambda: "a GPU", get_device_capability=lambda: (9, 0)
    )
    monkeypatch.setattr(tensorrt_module, "torch", types.SimpleNamespace(cuda=gpu))
    return measured


PLAN = {"model.plan", "model.plan.onnx", "model.plan.json"}


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_plan_lies_in_the_folder_with_its_layout_and_crf_or_alone(built, toy_student, tmp_path):
    folder = tmp_path / "folder"
    written = export_plan(toy_student, folder, PlanOptions())
    assert names(folder) == {path.name for path in written} == {*PLAN, *EXPORTED_FILES} - {"model.onnx"}
    _, crf, layout = load_model(toy_student)
    files = ExportedFiles.beside(folder / "model.plan")
    assert (files.layout, files.crf) == (layout, crf.parameters_for_serving())
    metadata = PlanMetadata.load(folder / "model.plan.json")
    assert metadata.onnx_sha256 == sha256_of((folder / "model.plan.onnx").read_bytes())
    alone = tmp_path / "alone" / "student.plan"
    assert {path.name for path in export_plan(toy_student, alone, PlanOptions())} == names(alone.parent)
    assert names(alone.parent) == {"student.plan", "student.plan.onnx", "student.plan.json"}


def test_a_plan_that_differs_leaves_nothing(built, toy_student, tmp_path):
    built.difference = 1.5
    for output in (tmp_path, tmp_path / "model.plan"):
        with pytest.raises(TensorRtError, match=r"differ from ONNX Runtime by 1\.50e\+00; accepted: 1\.00e\+00"):
            export_plan(toy_student, output, PlanOptions())
        assert names(tmp_path) == set()


@pytest.mark.tensorrt
@pytest.mark.parametrize("options", [PlanOptions(), PlanOptions(half=False), PlanOptions(version_compatible=True)])
def test_a_plan_computes_what_onnx_runtime_computes(toy_student, tmp_path, options):
    if importlib.util.find_spec("tensorrt") is None:
        pytest.skip("needs tensorrt: pip install 'distillex[tensorrt]' on a machine with an NVIDIA GPU")
    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU and a CUDA build of PyTorch")
    files = export_plan(toy_student, tmp_path, options)
    assert all(path.is_file() for path in files)
    metadata = PlanMetadata.load(tmp_path / "model.plan.json")
    assert metadata.difference <= metadata.tolerance
    assert metadata.plan_sha256 == sha256_of((tmp_path / "model.plan").read_bytes())
    assert tensorrt_module.major_version(load_tensorrt()) in (10, 11)
