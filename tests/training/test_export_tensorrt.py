"""Plans. TensorRT for RTX builds them here, without a GPU: it is the same interface as TensorRT's, of which only the
tests marked ``tensorrt`` build plans, where a GPU is, and compare what they compute.
"""

import dataclasses
import importlib.util
import json
import shutil
import types

import numpy as np
import onnx
import pytest
import torch
from distillex_matcher import FeatureLayout
from distillex_matcher.exported import EXPORTED_FILES, ExportedFiles
from distillex_training.errors import TensorRtError
from distillex_training.export import tensorrt as tensorrt_module
from distillex_training.export.onnx import INPUT_NAMES
from distillex_training.export.plan_builder import (
    TENSORRT,
    TENSORRT_RTX,
    BuiltPlan,
    PlanOptions,
    build_plan,
    check_capabilities,
    load_library,
    use_timing_cache,
)
from distillex_training.export.plan_metadata import PlanMetadata, sha256_of
from distillex_training.export.plan_profile import PlanTensor, ShapeRange, check_interface, optimization_profile
from distillex_training.export.tensorrt import compare_plan, export_plan
from distillex_training.models import load_model

pytestmark = pytest.mark.training


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


def test_a_network_with_another_interface_is_refused(gpu_networks, tmp_path):
    path, _ = gpu_networks("student")
    check_interface(path)
    model = onnx.load(path)
    model.graph.input[3].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(
        ValueError, match=r"LEXICON_WEIGHTS FLOAT16, EMISSIONS FLOAT; served are .* LEXICON_WEIGHTS FLOAT,"
    ):
        check_interface(tmp_path / "model.onnx")


def test_metadata_come_back_as_they_were_written(toy_student, tmp_path):
    profile = optimization_profile(load_model(toy_student)[2])
    tensors = {name: PlanTensor("INT32", (-1, -1), shapes) for name, shapes in profile.items()}
    tensors["EMISSIONS"] = PlanTensor("FLOAT", (-1, -1, 9))
    hashes = sha256_of(b"onnx"), sha256_of(b"plan")
    run = PlanMetadata("tensorrt", "10.16.1", ("9.0",), "NVIDIA H100", "fp16", True, *hashes, tensors, 0.01, 0.1)
    not_run = dataclasses.replace(run, library="tensorrt_rtx", gpu=None, difference=None, tolerance=None)
    for metadata in (run, not_run):
        metadata.save(tmp_path / "model.plan.json")
        assert PlanMetadata.load(tmp_path / "model.plan.json") == metadata
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="not plan metadata of format 2"):
        PlanMetadata.load(tmp_path / "other.json")


# What NVIDIA's real builder does.


def inputs_and_output(layout, labels):
    """What a plan must have to be served, by the layout."""
    profile = optimization_profile(layout)
    slots = (-1, -1, 4, layout.words_per_slot)
    return {
        "INPUT_IDS": PlanTensor("INT32", (-1, -1), profile["INPUT_IDS"]),
        "LEXICON_TYPES": PlanTensor("INT32", slots, profile["LEXICON_TYPES"]),
        "LEXICON_WORDS": PlanTensor("INT32", slots, profile["LEXICON_WORDS"]),
        "LEXICON_WEIGHTS": PlanTensor("FLOAT", slots, profile["LEXICON_WEIGHTS"]),
        "EMISSIONS": PlanTensor("FLOAT", (-1, -1, labels)),
    }


@pytest.mark.parametrize(("kind", "labels"), [("student", 9), ("teacher", 9), ("shipped student", 41)])
def test_the_real_builder_builds_a_plan_in_float16_with_the_served_inputs(rtx_plans, kind, labels):
    built, layout = rtx_plans(kind)
    assert len(built.content) > 10_000
    assert built.tensors == inputs_and_output(layout, labels)
    assert len(built.float32_layers) == 1  # the emissions become float32 at the very end


def test_the_real_builder_builds_float32_where_it_is_asked_for(rtx_plans):
    built, layout = rtx_plans("student", half=False)
    assert len(built.content) > 10_000
    assert built.tensors == inputs_and_output(layout, 9)
    assert len(built.float32_layers) > 50


def test_the_real_builders_errors_are_all_shown(rtx, gpu_networks):
    path, directory = gpu_networks("student")
    layout = FeatureLayout.load(directory)
    network = onnx.load(path)
    for node in [node for node in network.graph.node if node.op_type == "Sigmoid"]:
        node.op_type, node.domain = "Sorcery", "of.ours"
    network.opset_import.append(onnx.helper.make_opsetid("of.ours", 1))
    with pytest.raises(TensorRtError, match=r"(?s)cannot read the ONNX model:\n.*operator: Sorcery.*operator: Sorcery"):
        build_plan(rtx, network.SerializeToString(), optimization_profile(layout), PlanOptions())
    with pytest.raises(TensorRtError, match=r"cannot read the ONNX model:\n.*"):
        build_plan(rtx, b"no network", optimization_profile(layout), PlanOptions())
    profile = optimization_profile(layout)
    del profile["LEXICON_WORDS"]
    with pytest.raises(TensorRtError, match=r"(?s)TensorRT built no plan:\n.*LEXICON_WORDS"):
        build_plan(rtx, path.read_bytes(), profile, PlanOptions())


def test_capabilities_are_all_that_the_library_knows_or_those_asked_for(rtx):
    known = check_capabilities(rtx, ())
    assert {"7.5", "8.0", "8.6", "8.9", "12.0"} <= set(known)
    assert known == tuple(sorted(known, key=float))
    assert check_capabilities(rtx, ("8.9", "8.0", "8.9")) == ("8.9", "8.0")
    with pytest.raises(
        TensorRtError, match=r"compute capability '9\.0': TensorRT for RTX 1\.\S+ builds for 7\.5, 8\.0, "
    ):
        check_capabilities(rtx, ("8.9", "9.0"))


PLAN = {"model.plan", "model.plan.onnx", "model.plan.json"}
RTX_PLAN = {"model.rtx", "model.rtx.onnx", "model.rtx.json"}


def names(folder):
    return {path.name for path in folder.iterdir()}


def exporting(model, output, *more):
    from distillex.command.main import application
    from typer.testing import CliRunner

    done = CliRunner().invoke(application, ["export", str(model), "-o", str(output), *more])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


def test_the_command_writes_a_plan_for_rtx_with_layout_crf_and_metadata(rtx, toy_student, tmp_path):
    arguments = ("--target", "tensorrt-rtx", "--compute-capability", "8.9", "--compute-capability", "12.0")
    code, said = exporting(toy_student, tmp_path, *arguments)
    assert code == 0, said
    assert names(tmp_path) == {*RTX_PLAN, *EXPORTED_FILES} - {"model.onnx"}
    _, crf, layout = load_model(toy_student)
    files = ExportedFiles.beside(tmp_path / "model.rtx")
    assert (files.layout, files.crf) == (layout, crf.parameters_for_serving())
    metadata = PlanMetadata.load(tmp_path / "model.rtx.json")
    assert metadata.plan_sha256 == sha256_of((tmp_path / "model.rtx").read_bytes())
    assert metadata.onnx_sha256 == sha256_of((tmp_path / "model.rtx.onnx").read_bytes())
    assert (metadata.library, metadata.version) == ("tensorrt_rtx", rtx.__version__)
    assert (metadata.compute_capabilities, metadata.precision) == (("8.9", "12.0"), "fp16")
    assert metadata.tensors == inputs_and_output(layout, 9)
    if not torch.cuda.is_available():
        assert (metadata.gpu, metadata.difference, metadata.tolerance) == (None, None, None)


@pytest.mark.parametrize(
    ("target", "option", "theirs"),
    [
        ("tensorrt-rtx", ("--timing-cache", "cache"), "tensorrt"),
        ("tensorrt-rtx", ("--version-compatible",), "tensorrt"),
        ("tensorrt", ("--compute-capability", "8.9"), "tensorrt-rtx"),
        ("folder", ("--compute-capability", "8.9"), "tensorrt-rtx"),
        ("gpu", ("--int8", "none"), "folder or onnx"),
        ("tensorrt", ("--int8", "tables"), "folder or onnx"),
        ("tensorrt-rtx", ("--calibration", __file__), "folder or onnx"),
        ("gpu", ("--base", "1.lex"), "folder or onnx"),
        ("folder", ("--precision", "fp16"), "gpu, tensorrt or tensorrt-rtx"),
        ("folder", ("--precision", "fp32"), "gpu, tensorrt or tensorrt-rtx"),
    ],
)
def test_an_option_of_another_target_is_refused(toy_student, tmp_path, target, option, theirs):
    code, said = exporting(toy_student, tmp_path, "--target", target, *option)
    assert (code, said) == (
        2,
        f"distillex export: {option[0]} belongs to --target {theirs}; the target is {target}",
    )
    assert names(tmp_path) == set()


def test_an_unknown_capability_leaves_nothing(rtx, toy_student, tmp_path):
    code, said = exporting(toy_student, tmp_path, "--target", "tensorrt-rtx", "--compute-capability", "9.0")
    assert (code, "compute capability '9.0'" in said) == (1, True), said
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("target", "module", "extra"),
    [
        ("tensorrt", "tensorrt", "pip install 'distillex[tensorrt]', or run in NVIDIA's TensorRT container"),
        ("tensorrt-rtx", "tensorrt_rtx", "pip install 'distillex[gpu-rtx-cu13]', or 'distillex[gpu-rtx-cu12]'"),
    ],
)
def test_without_the_library_the_error_says_how_to_get_it(toy_student, tmp_path, monkeypatch, target, module, extra):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    code, said = exporting(toy_student, tmp_path, "--target", target)
    assert code == 1
    assert f"the Python package {module} cannot be imported" in said
    assert extra in said
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("library", "version", "sentence"),
    [
        (TENSORRT, "8.6.1", r"TensorRT 8\.6\.1 is not supported; accepted: 10 and 11"),
        (TENSORRT_RTX, "2.0", r"TensorRT for RTX 2\.0 is not supported; accepted: 1$"),
    ],
)
def test_another_version_is_refused(monkeypatch, library, version, sentence):
    module = types.ModuleType(library.module)
    module.__version__ = version
    monkeypatch.setitem(__import__("sys").modules, library.module, module)
    with pytest.raises(TensorRtError, match=sentence):
        load_library(library)


# What a GPU is needed for: a machine that has one is played, all else is real.


class TimingCaches:
    """A builder's configuration, as far as timing caches go (TensorRT for RTX has none)."""

    def __init__(self, fits):
        self.fits, self.made = fits, []

    def create_timing_cache(self, content):
        self.made.append(content)
        return content

    def set_timing_cache(self, cache, ignore_mismatch):
        return self.fits and not ignore_mismatch


@pytest.mark.parametrize(("fits", "made"), [(True, [b"old cache"]), (False, [b"old cache", b""])])
def test_a_timing_cache_is_read_and_replaced_where_it_is_of_another_machine(tmp_path, fits, made):
    (tmp_path / "timing").write_bytes(b"old cache")
    config = TimingCaches(fits)
    use_timing_cache(config, tmp_path / "timing")
    assert config.made == made
    use_timing_cache(config, tmp_path / "not there yet")
    assert config.made[len(made)] == b""


@pytest.fixture
def built(monkeypatch, gpu_networks):
    """A machine that builds plans of TensorRT, of a network that is there already. Set ``difference``."""
    network, _ = gpu_networks("student")
    monkeypatch.setattr(tensorrt_module, "export_onnx", lambda model, layout, path, **_: shutil.copy(network, path))
    measured = types.SimpleNamespace(difference=0.5)
    measured.module = module = types.SimpleNamespace(__version__="11.4.0")
    monkeypatch.setattr(tensorrt_module, "load_library", lambda _: module)
    monkeypatch.setattr(tensorrt_module, "build_plan", lambda *_: BuiltPlan(b"plan", {}, ()))
    monkeypatch.setattr(tensorrt_module, "compare_plan", lambda *_: (measured.difference, 1.0))
    gpu = types.SimpleNamespace(
        is_available=lambda: True, get_device_name=lambda: "a GPU", get_device_capability=lambda: (9, 0)
    )
    monkeypatch.setattr(tensorrt_module, "torch", types.SimpleNamespace(cuda=gpu))
    return measured


def test_a_plan_lies_in_the_folder_with_its_layout_and_crf_or_alone(built, toy_student, tmp_path):
    folder = tmp_path / "folder"
    written = export_plan(toy_student, folder, PlanOptions())
    assert names(folder) == {path.name for path in written} == {*PLAN, *EXPORTED_FILES} - {"model.onnx"}
    _, crf, layout = load_model(toy_student)
    files = ExportedFiles.beside(folder / "model.plan")
    assert (files.layout, files.crf) == (layout, crf.parameters_for_serving())
    metadata = PlanMetadata.load(folder / "model.plan.json")
    assert metadata.onnx_sha256 == sha256_of((folder / "model.plan.onnx").read_bytes())
    assert (metadata.gpu, metadata.compute_capabilities, metadata.difference) == ("a GPU", ("9.0",), 0.5)
    alone = tmp_path / "alone" / "student.plan"
    assert {path.name for path in export_plan(toy_student, alone, PlanOptions())} == names(alone.parent)
    assert names(alone.parent) == {"student.plan", "student.plan.onnx", "student.plan.json"}


def test_a_plan_that_differs_leaves_nothing(built, toy_student, tmp_path):
    built.difference = 1.5
    for output in (tmp_path, tmp_path / "model.plan"):
        with pytest.raises(TensorRtError, match=r"differ from ONNX Runtime by 1\.50e\+00; accepted: 1\.00e\+00"):
            export_plan(toy_student, output, PlanOptions())
        assert names(tmp_path) == set()


def test_a_plan_for_other_gpus_than_that_here_is_not_run(built, monkeypatch, toy_student, tmp_path):
    monkeypatch.setattr(tensorrt_module, "check_capabilities", lambda *_: ("8.9",))
    built.difference = 1.5  # would be too much
    export_plan(toy_student, tmp_path / "student.rtx", PlanOptions(), TENSORRT_RTX)
    metadata = json.loads((tmp_path / "student.rtx.json").read_text(encoding="utf-8"))
    assert (metadata["compute_capabilities"], metadata["gpu"], metadata["difference"]) == (["8.9"], None, None)


@pytest.mark.parametrize("half", [False, True])
def test_a_plan_whose_emissions_are_no_numbers_is_refused(built, monkeypatch, toy_student, tmp_path, half):
    engine = types.SimpleNamespace(create_execution_context=lambda: None)
    built.module.Runtime = lambda _: types.SimpleNamespace(deserialize_cuda_engine=lambda _: engine)
    built.module.Logger = type("Logger", (), {"WARNING": 0, "__init__": lambda *_: None})
    monkeypatch.setattr(tensorrt_module, "compare_plan", compare_plan)
    shape = (1 + 4 * 2,)
    monkeypatch.setattr(tensorrt_module, "_run", lambda _, inputs: np.full((*inputs[0].shape, *shape), np.nan))
    with pytest.raises(TensorRtError, match="differ from ONNX Runtime by nan; accepted"):
        export_plan(toy_student, tmp_path, PlanOptions(half=half))
    assert names(tmp_path) == set()


# On a GPU.


def tensors_of(engine):
    """Read from a built engine what :class:`BuiltPlan` says of it."""
    found = {}
    for place in range(engine.num_io_tensors):
        name = engine.get_tensor_name(place)
        profile = ShapeRange(*map(tuple, engine.get_tensor_profile_shape(name, 0))) if name in INPUT_NAMES else None
        found[name] = PlanTensor(engine.get_tensor_dtype(name).name, tuple(engine.get_tensor_shape(name)), profile)
    return found


@pytest.mark.tensorrt
@pytest.mark.parametrize("library", [TENSORRT, TENSORRT_RTX], ids=lambda library: library.module)
@pytest.mark.parametrize("options", [PlanOptions(), PlanOptions(half=False), PlanOptions(version_compatible=True)])
def test_a_plan_computes_what_onnx_runtime_computes(toy_student, tmp_path, options, library):
    if importlib.util.find_spec(library.module) is None:
        pytest.skip(f"needs {library.module}: {library.how_to_get_it}")
    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU and a CUDA build of PyTorch")
    if library is TENSORRT_RTX and options.version_compatible:
        pytest.skip("TensorRT for RTX has no version-compatible plans")
    here = ".".join(map(str, torch.cuda.get_device_capability()))
    trt = load_library(library)
    if library is TENSORRT_RTX and here not in check_capabilities(trt, ()):
        pytest.skip(f"TensorRT for RTX has no plans for GPUs of compute capability {here}")
    written = export_plan(toy_student, tmp_path, options, library)
    assert all(path.is_file() for path in written)
    (plan,) = [path for path in written if path.name in ("model.plan", "model.rtx")]
    metadata = PlanMetadata.load(plan.with_name(f"{plan.name}.json"))
    assert metadata.difference <= metadata.tolerance
    assert metadata.plan_sha256 == sha256_of(plan.read_bytes())
    runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
    runtime.engine_host_code_allowed = options.version_compatible
    assert tensors_of(runtime.deserialize_cuda_engine(plan.read_bytes())) == metadata.tensors
