"""The network for GPUs: exported, run in fixed buckets with bound memory, in process and served.

All is real but the GPU: the provider is ONNX Runtime's for CPUs, opened, bound and run by the same code.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("torch", reason="needs torch: pip install 'distillex[train]'")
import distillex
import numpy as np
import onnx
import onnxruntime
from distillex.device import Device, Provider
from distillex.errors import DeviceError
from distillex.gpu.buckets import Bucket, Buckets
from distillex.gpu.network import GpuNetwork, check_gpu_network
from distillex_matcher import FeatureLayout, LayoutError
from distillex_matcher.exported import GPU_NETWORK_FILE
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.errors import PreconditionError
from distillex_serving.repository import Layout
from distillex_training.export.folder import export_folder, export_gpu_folder
from distillex_training.export.onnx import INPUT_NAMES, random_inputs
from server_under_test import server_options, why_no_server

pytestmark = pytest.mark.training

TRIED = Device(0, Provider.CPU)
TEXTS = ["赵伟加入了东方电子。", "南海船务的孙敏昨天说，", "今天李静离开北斗软件！" * 3, "昨天" * 40, "钱"] * 30


@pytest.fixture(scope="module")
def folder(toy_student, tmp_path_factory):
    """A student exported for the CPU and for GPUs."""
    exported = tmp_path_factory.mktemp("exported")
    export_folder(toy_student, exported)
    export_gpu_folder(toy_student, exported)
    return exported


@pytest.fixture(scope="module")
def network(folder):
    return GpuNetwork(folder, TRIED, Buckets(FeatureLayout.load(folder).buckets, (1, 4, 16), 1024))


@pytest.fixture(scope="module")
def plain(folder):
    """The same file, run by ONNX Runtime at the very shape of the inputs."""
    session = onnxruntime.InferenceSession(folder / GPU_NETWORK_FILE, providers=["CPUExecutionProvider"])
    return lambda *arrays: session.run(None, dict(zip(INPUT_NAMES, arrays, strict=True)))[0]


def inputs(folder, rows, tokens, seed=0):
    return [tensor.numpy() for tensor in random_inputs(FeatureLayout.load(folder), rows, tokens, seed)]


def spans(found):
    return [[(entity.start, entity.end, entity.type) for entity in entities] for entities in found]


def test_the_export_is_float16_beside_the_files_of_the_cpu(folder):
    assert {path.name for path in folder.iterdir()} == {
        "model.onnx",
        "model.gpu.onnx",
        "features.json",
        "vocabulary.txt",
        "crf.json",
    }
    kinds = {each.data_type for each in onnx.load(folder / GPU_NETWORK_FILE).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    assert kinds.isdisjoint({onnx.TensorProto.FLOAT, onnx.TensorProto.INT8, onnx.TensorProto.UINT8})


def test_what_is_padded_is_what_the_cuda_provider_pads(folder):
    """By ONNX Runtime's table of kernels: bool, double, float, float16; integers would go to the CPU and back."""
    inferred = onnx.shape_inference.infer_shapes(onnx.load(folder / GPU_NETWORK_FILE)).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.input)}
    padded = {kinds[node.input[0]] for node in inferred.node if node.op_type == "Pad"}
    assert padded == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize(
    ("rows", "tokens"), [(1, 8), (3, 24), (4, 32), (5, 33), (16, 64), (17, 64), (70, 40), (2, 512), (3, 505)]
)
def test_buckets_give_what_the_shape_itself_gives(folder, network, plain, rows, tokens):
    given = inputs(folder, rows, tokens, seed=rows)
    found = network.run(*given)
    expected = plain(*given)
    assert found.shape == expected.shape
    real = given[0] != 0
    assert np.abs(found - expected)[real].max() <= 2e-3 * np.abs(expected[real]).max()


def test_what_a_bucket_held_before_leaves_no_trace(folder, network):
    small = inputs(folder, 2, 24, seed=5)
    first = network.run(*small)
    network.run(*inputs(folder, 4, 32, seed=6))
    np.testing.assert_array_equal(network.run(*small), first)


def test_an_answer_stays_when_the_next_run_writes_to_the_same_memory(folder, network):
    given = inputs(folder, 4, 32, seed=7)
    answer = network.run(*given)
    kept = answer.copy()
    network.run(*inputs(folder, 4, 32, seed=8))
    np.testing.assert_array_equal(answer, kept)


def test_many_threads_use_one_network_and_one_thread_runs_it(folder, network, monkeypatch):
    batches = [inputs(folder, 1 + seed % 20, 16 + seed, seed) for seed in range(24)]
    expected = [network.run(*batch) for batch in batches]
    ran_in = set()
    run = network._run
    monkeypatch.setattr(network, "_run", lambda *given: ran_in.add(threading.current_thread().name) or run(*given))
    with ThreadPoolExecutor(8) as pool:
        for found, one in zip(pool.map(lambda batch: network.run(*batch), batches * 3), expected * 3, strict=True):
            np.testing.assert_array_equal(found, one)
    assert ran_in == {"distillex-gpu_0"}


def test_every_bucket_is_prepared_before_the_first_text(network):
    assert set(network._bound) == set(network._buckets)
    assert Bucket(512, 1) in network._bound


def test_buckets_that_are_too_short_for_the_model_are_refused(folder):
    with pytest.raises(ValueError, match="no bucket holds 512 tokens"):
        GpuNetwork(folder, TRIED, Buckets((32, 64)))


def test_a_network_that_is_missing_or_another_models_is_refused(folder, tmp_path):
    for name in ("features.json", "vocabulary.txt", "crf.json"):
        shutil.copy(folder / name, tmp_path / name)
    with pytest.raises(LayoutError, match=r"model\.gpu\.onnx: missing; 'distillex export .* --target gpu' writes it"):
        GpuNetwork(tmp_path, TRIED)
    shutil.copy(folder / GPU_NETWORK_FILE, tmp_path)
    crf = json.loads((tmp_path / "crf.json").read_text(encoding="utf-8"))
    crf["start"][0] += 1
    (tmp_path / "crf.json").write_text(json.dumps(crf), encoding="utf-8")
    with pytest.raises(LayoutError, match="The files are of two models"):
        GpuNetwork(tmp_path, TRIED)


def test_a_network_that_does_not_say_whose_it_is_is_refused(folder, tmp_path):
    for file in folder.iterdir():
        shutil.copy(file, tmp_path / file.name)
    nameless = onnx.load(tmp_path / GPU_NETWORK_FILE)
    del nameless.metadata_props[:]
    onnx.save(nameless, tmp_path / GPU_NETWORK_FILE)
    with pytest.raises(LayoutError, match="does not say which files belong to it"):
        GpuNetwork(tmp_path, TRIED)


def test_a_broken_network_is_told(folder, tmp_path):
    for file in folder.iterdir():
        shutil.copy(file, tmp_path / file.name)
    (tmp_path / GPU_NETWORK_FILE).write_bytes(b"no network")
    for opened in (check_gpu_network, lambda folder: GpuNetwork(folder, TRIED)):
        with pytest.raises(LayoutError, match=r"model\.gpu\.onnx: cannot be opened"):
            opened(tmp_path)


def test_a_repository_for_a_triton_of_ones_own_is_written_of_a_network_that_was_checked(folder, tmp_path):
    arguments = ["--layout", "gpu", "--student", str(folder), "-o", str(tmp_path / "made")]
    command = [sys.executable, "-m", "distillex.command.main", "repository", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "made" / "extractor" / "1" / GPU_NETWORK_FILE).is_file()
    assert 'value: { string_value: "auto" }' in (tmp_path / "made/extractor/config.pbtxt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def taggers(folder, toy_lexicons):
    return [
        distillex.load(folder, device=device, lexicon_directory=toy_lexicons, threads=2) for device in ("cpu", TRIED)
    ]


def test_a_tagger_on_a_device_finds_what_the_cpu_finds(taggers):
    cpu, tried = taggers
    expected = spans(cpu.extract_batch(TEXTS))
    assert sum(map(len, expected)) > 100
    assert spans(tried.extract_batch(TEXTS)) == expected
    assert spans([tried.extract(TEXTS[0])]) == expected[:1]
    words = {"东方": "company"}
    assert spans([tried.extract(TEXTS[0], lexicon=words)]) == spans([cpu.extract(TEXTS[0], lexicon=words)])
    assert tried.where == f"CPUExecutionProvider of ONNX Runtime {onnxruntime.__version__} on the CPU"


def test_a_pickled_tagger_goes_on_in_a_new_process_and_a_forked_one_says_why_not(taggers):
    tried = taggers[1]
    assert pickle.loads(pickle.dumps(tried)).extract_batch(TEXTS[:5]) == tried.extract_batch(TEXTS[:5])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(tried.extract, TEXTS[:2]) == tried.extract_batch(TEXTS[:2])
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            tried.extract(TEXTS[0])
        except DeviceError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    told = os.read(reading, 1000).decode()
    os.close(reading)
    assert told.startswith(f"process {child} was forked from process {os.getpid()}, which uses a GPU")
    assert "spawn" in told


def test_a_gpu_that_fails_is_told_apart_from_a_bad_text(folder, network, monkeypatch):
    def fail(arrays):
        raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")

    monkeypatch.setattr(network._bound[Bucket(32, 1)], "run", fail)
    with pytest.raises(DeviceError, match="the CPU: the run of 1 x 32 failed: CUDA failure 700"):
        network.run(*inputs(folder, 1, 16))


@pytest.fixture(scope="module")
def served(folder, toy_lexicons):
    if reason := why_no_server():
        pytest.skip(reason)
    options = server_options(toy_lexicons, student=folder, teacher=folder, layout=Layout.GPU, device=TRIED)
    with EmbeddedServer(options) as running:
        yield running


@pytest.mark.server
def test_the_server_finds_what_the_process_finds_and_says_what_runs_the_network(served, taggers):
    from distillex_client import Extractor

    for model in ("extractor", "extractor_teacher"):
        with Extractor(served.grpc_url, model=model, batch_size=50) as extractor:
            assert spans(extractor.extract_batch(TEXTS)) == spans(taggers[1].extract_batch(TEXTS))
        with urllib.request.urlopen(f"{served.http_url}/v2/models/{model}/config", timeout=10) as answer:
            parameters = json.load(answer)["parameters"]
        told = {name: value["string_value"] for name, value in parameters.items()}
        assert told["device"] == "gpu:0"
        assert told["gpu_provider"] == "cpu"


@pytest.mark.server
def test_a_device_and_a_layout_that_do_not_belong_together_are_refused(folder, toy_lexicons):
    if reason := why_no_server():
        pytest.skip(reason)
    for layout, device in ((Layout.GPU, Device()), (Layout.FUSED, TRIED), (Layout.ENSEMBLE, TRIED)):
        options = server_options(toy_lexicons, student=folder, layout=layout, device=device)
        with pytest.raises(PreconditionError, match=f"--device {device} and --layout {layout.value}: a GPU runs"):
            EmbeddedServer(options).start()
