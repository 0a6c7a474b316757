"""Which GPU, which provider, and what is said where one is missing.

No GPU is needed: a small library stands in for NVIDIA's driver, which is asked for names and numbers alone. All else is
real: the ONNX Runtime that is installed is asked for providers that it lacks.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import distillex
import onnxruntime
import pytest
from distillex.device import Device, Provider
from distillex.errors import DeviceError
from distillex.gpu import driver, network, providers
from distillex.gpu.cuda_libraries import check_cuda, libraries_of_cuda, why_no_cuda
from distillex.gpu.driver import Gpu, find_driver, find_gpu
from distillex.gpu.providers import choose, cuda_options, resolve, rtx_options
from distillex.models import find_model
from distillex_matcher.exported import EXPORTED_FILES

COMPILER = shutil.which("cc")
SOURCE = Path(__file__).with_name("stand_in_driver.c")
RTX_4090 = Gpu(0, "NVIDIA GeForce RTX 4090", (8, 9), 24 * 1024)
H200 = Gpu(1, "NVIDIA H200", (9, 0), 140 * 1024)
A100 = Gpu(0, "NVIDIA A100", (8, 0), 80 * 1024)
V100 = Gpu(0, "Tesla V100", (7, 0), 16 * 1024)
RTX_5090 = Gpu(0, "NVIDIA GeForce RTX 5090", (12, 0), 32 * 1024)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """Compile a driver's stand-in with so many GPUs, whose cuInit returns a code."""
    if COMPILER is None:
        pytest.skip("a C compiler is needed for the driver's stand-in")
    folder = tmp_path_factory.mktemp("driver")

    @functools.cache
    def compiled(gpus=2, code=0):
        library = folder / f"libcuda-{gpus}-{code}.so"
        defined = (f"-DGPUS={gpus}", f"-DCODE={code}")
        subprocess.run([COMPILER, "-shared", "-fPIC", *defined, SOURCE, "-o", library], check=True)
        return str(library)

    return compiled


@pytest.fixture
def two_gpus(stand_in, monkeypatch):
    """This machine has an RTX 4090 and an H200."""
    for name, found in (("find_gpu", find_gpu), ("find_driver", find_driver)):
        monkeypatch.setattr(providers, name, functools.partial(found, library=stand_in()))


def test_names_of_devices():
    assert Device.of("cpu") == Device()
    assert Device.of("gpu") == Device.of("gpu:0") == Device(0)
    assert Device.of("gpu:12") == Device(12, Provider.AUTO)
    assert Device(1, "cuda") == Device(1, Provider.CUDA)
    assert Device.of(str(Device(3))) == Device(3)
    for name in ("cuda", "gpu:", "gpu:-1", "GPU", "", 0, None):
        with pytest.raises(ValueError, match="cpu, gpu or gpu:NUMBER is accepted"):
            Device.of(name)
    with pytest.raises(ValueError, match="provider 'rocm': auto, cuda, tensorrt-rtx, cpu are accepted"):
        Device(0, "rocm")
    for wrong in ({"gpu": -1}, {"gpu": True}, {"gpu": 0, "memory_mib": 0}):
        with pytest.raises(ValueError, match="a whole number from"):
            Device(**wrong)
    with pytest.raises(ValueError, match="graphs 'no': True or False is accepted"):
        Device(0, graphs="no")


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"provider": "cuda"}, "provider 'cuda'"),
        ({"memory_mib": 100}, "memory_mib 100"),
        ({"graphs": False}, "graphs False"),
    ],
)
def test_what_is_for_a_gpu_is_refused_without_one(asked, named):
    with pytest.raises(ValueError, match=f"{named} is for a GPU: give its number too"):
        Device(**asked)


def test_the_driver_tells_the_gpus(stand_in):
    found = find_driver(stand_in())
    assert found.cuda_version == (12, 6)
    assert found.gpus == (RTX_4090, H200)
    assert str(found.gpus[1]) == "GPU 1 (NVIDIA H200, compute capability 9.0, 140 GiB)"
    assert find_gpu(1, stand_in()) == H200


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(stand_in):
    with pytest.raises(DeviceError, match=r"there is no GPU 2: this process sees GPU 0 \(.*RTX 4090.*H200"):
        find_gpu(2, stand_in())


@pytest.mark.parametrize(("gpus", "code"), [(0, 0), (1, driver.NO_DEVICE)])
def test_a_driver_without_a_gpu_is_told_with_what_hides_it(stand_in, monkeypatch, gpus, code):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(DeviceError, match=r"no GPU that this process may use \(CUDA_VISIBLE_DEVICES is ''\)"):
        find_driver(stand_in(gpus, code))


def test_a_driver_that_does_not_work_is_quoted(stand_in):
    with pytest.raises(DeviceError, match=r"cuInit says error 803 \(system has unsupported display driver"):
        find_driver(stand_in(1, 803))
    with pytest.raises(DeviceError, match="cuInit says error 999; see nvidia-smi"):
        find_driver(stand_in(1, 999))


def test_a_machine_without_a_driver_is_told_so():
    with pytest.raises(DeviceError, match=r"no NVIDIA driver is here \(libno-cuda\.so\.1: cannot open.*--gpus all"):
        find_driver("libno-cuda.so.1")


@pytest.mark.parametrize(
    ("asked", "gpu", "plugin", "cuda", "chosen"),
    [
        ("auto", RTX_4090, True, True, "tensorrt-rtx"),
        ("auto", RTX_5090, True, False, "tensorrt-rtx"),
        ("auto", H200, True, True, "cuda"),
        ("auto", A100, True, True, "cuda"),
        ("auto", RTX_4090, False, True, "cuda"),
        ("cuda", RTX_4090, True, True, "cuda"),
        ("tensorrt-rtx", RTX_4090, True, True, "tensorrt-rtx"),
    ],
)
def test_the_provider_is_chosen_by_the_gpu_and_by_what_is_installed(asked, gpu, plugin, cuda, chosen):
    assert choose(Provider(asked), gpu, plugin, cuda) is Provider(chosen)


@pytest.mark.parametrize(
    ("asked", "gpu", "plugin", "cuda", "sentence"),
    [
        (
            "tensorrt-rtx",
            H200,
            True,
            True,
            r"capability 8\.6, 8\.9 and from 12\.0 on; GPU 1 \(NVIDIA H200.*provider cuda",
        ),
        ("tensorrt-rtx", RTX_4090, False, True, "is not installed: pip install onnxruntime-ep-nv-tensorrt-rtx-cu12"),
        ("auto", A100, True, False, r"no provider for GPU 0 \(NVIDIA A100.*its plugin for TensorRT-RTX does not take"),
        (
            "cuda",
            RTX_4090,
            True,
            False,
            r"no provider for GPU 0.*Provider: pip .*; or use --gpu-provider tensorrt-rtx: tensorrt-rtx takes this",
        ),
        ("cuda", A100, True, False, r"its plugin for TensorRT-RTX does not take GPU 0 \(NVIDIA A100.*'\)$"),
        ("cuda", RTX_4090, False, False, r"no provider for GPU 0.*Provider: pip .*'\)$"),
    ],
)
def test_a_provider_that_is_missing_or_refuses_the_gpu_is_named_with_what_to_do(asked, gpu, plugin, cuda, sentence):
    with pytest.raises(DeviceError, match=sentence):
        choose(Provider(asked), gpu, plugin, cuda)


needs_cpu_build = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has the CUDA provider"
)


@needs_cpu_build
def test_this_onnx_runtime_has_no_provider_for_a_gpu(two_gpus):
    version = onnxruntime.__version__
    sentence = (
        rf"ONNX Runtime {version} has no provider for GPU 1 \(NVIDIA H200.*only .*CPUExecutionProvider.*pip install"
    )
    with pytest.raises(DeviceError, match=sentence):
        resolve(Device(1))


@needs_cpu_build
def test_two_packages_that_overwrite_each_other_are_named(two_gpus, tmp_path, monkeypatch):
    record = tmp_path / "onnxruntime_gpu-1.26.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.26.0\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DeviceError, match=r"onnxruntime \S+ and onnxruntime-gpu 1\.26\.0 are both installed"):
        resolve(Device(1, Provider.CUDA))


def test_the_library_that_the_cuda_provider_lacks_is_named(tmp_path):
    """Compiled: a library that is linked with one of CUDA's, which is gone when it is asked."""
    if COMPILER is None:
        pytest.skip("a C compiler is needed")
    (tmp_path / "part.c").write_text("int part(void) { return 0; }\n", encoding="utf-8")
    (tmp_path / "whole.c").write_text("int part(void); int whole(void) { return part(); }\n", encoding="utf-8")
    part, whole = tmp_path / "libcublasLt.so.99", tmp_path / "libwhole.so"
    build = [COMPILER, "-shared", "-fPIC"]
    subprocess.run([*build, f"-Wl,-soname,{part.name}", tmp_path / "part.c", "-o", part], check=True)
    subprocess.run([*build, tmp_path / "whole.c", part, "-o", whole], check=True)
    assert libraries_of_cuda(whole) == ["libcublasLt.so.99"]
    told = why_no_cuda(H200, whole)
    assert told.startswith(
        "ONNX Runtime's CUDA provider cannot be loaded: libcublasLt.so.99: cannot open shared object"
    )
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]==" in told
    unlinked = tmp_path / "libunlinked.so"
    subprocess.run([*build, tmp_path / "part.c", "-o", unlinked], check=True)
    assert "does not start on GPU 1 (NVIDIA H200" in why_no_cuda(H200, unlinked)


def test_a_driver_older_than_the_cuda_provider_is_told(two_gpus, monkeypatch):
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0", raising=False)
    with pytest.raises(DeviceError, match=r"is built for CUDA 13; this machine's driver runs CUDA up to 12\.6: update"):
        providers.open_session(Path("model.gpu.onnx"), Device(0, Provider.CUDA), {})


def test_a_gpu_older_than_cuda_13_is_told(monkeypatch):
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0", raising=False)
    with pytest.raises(DeviceError, match=r"runs on compute capability 7\.5 and later; GPU 0 \(Tesla V100"):
        check_cuda(driver.Driver((13, 0), (V100,)), V100)


def test_a_plugin_that_is_not_installed_is_told():
    with pytest.raises(DeviceError, match="the provider tensorrt-rtx cannot be loaded: "):
        providers.register_plugin()


def test_a_memory_limit_leaves_the_cuda_provider_alone(two_gpus, monkeypatch):
    monkeypatch.setattr(providers, "_has_plugin", lambda: True)
    monkeypatch.setattr(providers, "_has_cuda", lambda: True)
    assert resolve(Device(0)).provider is Provider.TENSORRT_RTX
    assert resolve(Device(0, memory_mib=500)).provider is Provider.CUDA
    with pytest.raises(DeviceError, match="tensorrt-rtx has no memory limit"):
        resolve(Device(0, Provider.TENSORRT_RTX, 500))


def test_a_memory_limit_that_leaves_no_provider_is_named_where_the_plugin_would_take_the_gpu(two_gpus, monkeypatch):
    monkeypatch.setattr(providers, "_has_plugin", lambda: True)
    monkeypatch.setattr(providers, "_has_cuda", lambda: False)
    both = "; or give no memory limit and use --gpu-provider tensorrt-rtx: tensorrt-rtx takes this GPU"
    for device, ending in (
        (Device(0, memory_mib=500), "; or give no memory limit: tensorrt-rtx takes this GPU"),
        (Device(0, Provider.CUDA, 500), both),
        (Device(1, memory_mib=500), "')"),  # an H200, which the plugin does not take
    ):
        with pytest.raises(DeviceError, match="has no provider for GPU") as told:
            resolve(device)
        assert str(told.value).endswith(ending)


def test_a_memory_limit_above_what_the_gpu_has_is_refused(two_gpus, monkeypatch):
    monkeypatch.setattr(providers, "_has_cuda", lambda: True)
    assert resolve(Device(0, "cuda", RTX_4090.memory_mib)).memory_mib == 24576
    with pytest.raises(DeviceError, match=r"limit of 24577 MiB: GPU 0 \(NVIDIA.*4090.*\) has 24576 MiB in all"):
        resolve(Device(0, "cuda", RTX_4090.memory_mib + 1))


def test_a_gpu_that_was_looked_for_in_vain_is_not_claimed_for_this_process(stand_in, monkeypatch):
    """What has no GPU may still fork: the copies look for themselves."""
    monkeypatch.setattr(network, "_owner", None)
    monkeypatch.setattr(providers, "find_gpu", functools.partial(find_gpu, library="libno-cuda.so.1"))
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        network.find_device(Device(0))
    monkeypatch.setattr(providers, "find_gpu", functools.partial(find_gpu, library=stand_in()))
    monkeypatch.setattr(providers, "_has_cuda", lambda: True)
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    assert network.find_device(Device(0, "cuda")) == Device(0, "cuda")
    monkeypatch.setattr(os, "getpid", lambda: parent + 2)
    with pytest.raises(DeviceError, match=f"was forked from process {parent + 1}, which uses a GPU"):
        network.find_device(Device(0, "cuda"))


def network_of_one_operator(path):
    onnx = pytest.importorskip("onnx")
    values = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n"]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "g", *([value] for value in values))
    onnx.save(onnx.helper.make_model(graph, ir_version=9, opset_imports=[onnx.helper.make_opsetid("", 18)]), path)
    return path


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        ("CUDA failure 2: out of memory ; GPU=0", "too little memory on GPU 0 .*: the network cannot be opened there"),
        ("CUDNN_STATUS_ALLOC_FAILED", "too little memory on GPU 0 .*: the network cannot be opened there"),
        ("CUDA failure 100", "GPU 0 .*: the network cannot be opened there: CUDA failure 100"),
    ],
)
def test_a_gpu_that_fails_as_a_network_is_opened_is_told_and_no_cpu_takes_its_place(
    two_gpus, tmp_path, monkeypatch, capsys, failure, sentence
):
    """The session's constructor is ONNX Runtime's own; what fails in it is the CUDA provider's stand-in."""
    create = onnxruntime.InferenceSession._create_inference_session
    opened = []

    def fails(session, asked, *more):
        opened.append(asked)
        if any(each[0] == "CUDAExecutionProvider" for each in asked):
            raise RuntimeError(failure)
        session._fallback_providers = ["CPUExecutionProvider"]
        create(session, asked, *more)

    monkeypatch.setattr(onnxruntime.InferenceSession, "_create_inference_session", fails)
    path = network_of_one_operator(tmp_path / "model.onnx")
    with pytest.raises(DeviceError, match=sentence):
        providers.open_session(path, Device(0, Provider.CUDA), {})
    assert len(opened) == 1
    assert capsys.readouterr().out == ""


def test_a_plugin_that_takes_no_part_in_the_session_is_told(two_gpus, tmp_path, monkeypatch):
    class Options(onnxruntime.SessionOptions):
        def add_provider_for_devices(self, *_):
            """Ask for nothing."""

    device = types.SimpleNamespace(ep_name="NvTensorRTRTXExecutionProvider", ep_options={"device_id": "0"})
    device.memory_info = lambda _: None
    monkeypatch.setattr(providers, "register_plugin", lambda: None)
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: [device], raising=False)
    monkeypatch.setattr(providers, "_session_options", Options)
    path = network_of_one_operator(tmp_path / "model.onnx")
    with pytest.raises(DeviceError, match=r"tensorrt-rtx does not start on GPU 0 \(NVIDIA GeForce RTX 4090"):
        providers.open_session(path, Device(0, Provider.TENSORRT_RTX), {})


def test_the_providers_are_told_device_limit_and_shapes():
    options = cuda_options(Device(1, Provider.CUDA, 512), graphs=True)
    assert options["device_id"] == "1"
    assert options["enable_cuda_graph"] == "1"
    assert options["gpu_mem_limit"] == str(512 * 2**20)
    assert cuda_options(Device(0), graphs=False)["enable_cuda_graph"] == "0"
    assert "gpu_mem_limit" not in cuda_options(Device(0), graphs=True)
    profile = {"INPUT_IDS": ("1x32", "32x64", "256x512"), "LEXICON_TYPES": ("1x32x4x4", "32x64x4x4", "256x512x4x4")}
    told = rtx_options(profile, "0", graphs=True)
    assert told["nv_profile_opt_shapes"] == "INPUT_IDS:32x64,LEXICON_TYPES:32x64x4x4"
    assert told["enable_cuda_graph"] == "1"
    assert rtx_options(profile, "0", graphs=False)["enable_cuda_graph"] == "0"
    assert told["nv_profile_max_shapes"] == "INPUT_IDS:256x512,LEXICON_TYPES:256x512x4x4"


def test_no_memory_is_told_as_such_by_what_onnx_runtime_says():
    """In a process of its own: an arena of a mebibyte stays for as long as that lives."""
    code = """
        import sys, numpy, onnx, onnxruntime
        from distillex.gpu.providers import translated
        kind = onnx.TensorProto.FLOAT
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Exp", ["x"], ["y"]), onnx.helper.make_node("Neg", ["y"], ["z"])], "g",
            *([onnx.helper.make_tensor_value_info(name, kind, ["n"])] for name in "xz"))
        model = onnx.helper.make_model(graph, ir_version=9, opset_imports=[onnx.helper.make_opsetid("", 18)])
        info = onnxruntime.OrtMemoryInfo(
            "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT)
        onnxruntime.create_and_register_allocator(info, onnxruntime.OrtArenaCfg({"max_mem": 2**20}))
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.use_env_allocators", "1")
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        try:
            with translated("GPU 0 (NVIDIA T4)", "the buckets cannot be prepared"):
                session.run(None, {"x": numpy.zeros(2**20, numpy.float32)})
        except Exception as error:
            print(type(error).__name__, error)
    """
    pytest.importorskip("onnx")
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("DeviceError too little memory on GPU 0 (NVIDIA T4): the buckets cannot be prepared")


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
def test_a_machine_without_a_driver_is_told_before_a_network_for_gpus_is_missed(tmp_path):
    for name in EXPORTED_FILES:
        shutil.copy(find_model("cluener") / name, tmp_path / name)
    with pytest.raises(distillex.DeviceError, match="no NVIDIA driver is here"):
        distillex.load(tmp_path, device="gpu")
    with pytest.raises(
        distillex.ModelNotFound,
        match=rf"model\.gpu\.onnx missing; 'distillex export MODEL -o {tmp_path} --target gpu'",
    ):
        distillex.load(tmp_path, device=Device(0, "cpu"))


def test_nothing_of_a_gpu_is_imported_for_the_cpu():
    code = """
        import sys, distillex
        distillex.load("cluener").extract("复旦大学在上海。")
        print([name for name in sys.modules if name.startswith("distillex.gpu")])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
