"""int8 exports: smaller, close to float32, refused where they are not, and the same on every processor."""

import platform
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from distillex_matcher import Lexicon
from distillex_training.errors import ParityError
from distillex_training.export import int8 as int8_module
from distillex_training.export.int8 import calibration_batches, export_quantized, label_agreement
from distillex_training.export.onnx import INPUT_NAMES, export_onnx, onnx_emissions, random_inputs
from distillex_training.export.options import Int8
from distillex_training.export.products import ProductConvolution, convolutions_as_products
from distillex_training.models import Student, StudentConfig, load_model

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def calibration(toy, toy_student):
    layout = load_model(toy_student)[2]
    texts = (toy / "raw.txt").read_text(encoding="utf-8").splitlines()
    return calibration_batches(layout, Lexicon.load(toy / "base.lex"), texts)


@pytest.fixture(scope="module")
def files(toy_student, calibration, tmp_path_factory):
    model, _, layout = load_model(toy_student)
    folder = tmp_path_factory.mktemp("int8")
    for mode in Int8:
        export_quantized(model, layout, folder / f"{mode.value}.onnx", mode, calibration)
    return {mode: folder / f"{mode.value}.onnx" for mode in Int8}


def test_the_oldest_accepted_onnx_runtime_reads_each_mode(files):
    for path in files.values():
        network = onnx.load(path)
        versions = {entry.domain: entry.version for entry in network.opset_import}
        assert network.ir_version <= 9
        assert versions[""] <= 20


def operators(path):
    return {node.op_type for node in onnx.load(path).graph.node}


def test_each_mode_quantises_what_it_says(files):
    assert not operators(files[Int8.NONE]) & {"MatMulInteger", "QuantizeLinear", "DynamicQuantizeLinear"}
    kinds = {mode: {i.data_type for i in onnx.load(path).graph.initializer} for mode, path in files.items()}
    assert onnx.TensorProto.INT8 not in kinds[Int8.NONE]
    assert all(onnx.TensorProto.INT8 in kinds[mode] for mode in (Int8.TABLES, Int8.DYNAMIC, Int8.STATIC))
    assert "MatMulInteger" in operators(files[Int8.DYNAMIC])
    assert "Conv" not in operators(files[Int8.DYNAMIC])
    assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= operators(files[Int8.STATIC])
    assert "MatMulInteger" not in operators(files[Int8.STATIC])


@pytest.mark.parametrize("mode", [Int8.DYNAMIC, Int8.STATIC])
def test_the_product_that_gives_the_emissions_stays_in_float32(files, mode):
    graph = onnx.load(files[mode]).graph
    floats = {i.name for i in graph.initializer if i.data_type == onnx.TensorProto.FLOAT}
    constant = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in floats]
    assert len(constant) == 1
    (add,) = [node for node in graph.node if node.output[0] == "EMISSIONS"]
    assert constant[0].output[0] in add.input


def test_static_int8_quantises_every_tensor_once(files, toy_student):
    layers = len(load_model(toy_student)[0].layers)
    graph = onnx.load(files[Int8.STATIC]).graph
    quantised = [node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"]
    # What layers and head read, value and gate of each layer, and the slots: neither tables nor what is joined.
    assert len(quantised) == len(set(quantised)) == 3 * layers + 2


def test_static_int8_stores_tables_as_the_products_read_them(files, toy_student):
    config = load_model(toy_student)[0].config
    tables = {tuple(i.dims): i.data_type for i in onnx.load(files[Int8.STATIC]).graph.initializer}
    assert tables[config.vocabulary, config.character_embedding] == onnx.TensorProto.UINT8
    assert tables[config.bigram_hash_size, config.bigram_embedding] == onnx.TensorProto.UINT8
    assert (config.vocabulary, 1) in tables  # what is padding; no scales of rows beside it
    assert (config.bigram_hash_size, 1) not in tables


@pytest.mark.parametrize("mode", [Int8.TABLES, Int8.DYNAMIC, Int8.STATIC])
def test_int8_picks_the_labels_of_float32_on_real_text(files, calibration, mode):
    assert label_agreement(files[Int8.NONE], files[mode], calibration) > 0.98


def product_weights(path):
    """Return the int8 weights of all products and convolutions. *Shape of each:* [summed, outputs]."""
    graph = onnx.load(path).graph
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    stored = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    weights = []
    for node in graph.node:
        if node.op_type in ("Conv", "MatMul", "MatMulInteger"):
            weight = constants.get(stored.get(node.input[1], node.input[1]))
            if weight is not None and weight.dtype == np.int8:
                weights.append(weight.reshape(len(weight), -1).T if node.op_type == "Conv" else weight)
    return weights


@pytest.mark.parametrize("mode", [Int8.DYNAMIC, Int8.STATIC])
def test_no_two_products_leave_the_16_bits_in_which_older_processors_add_them(files, mode):
    weights = product_weights(files[mode])
    assert len(weights) >= 3
    for weight in weights:
        for signed in (weight.astype(int), -weight.astype(int)):
            largest_two = np.sort(signed.clip(min=0), axis=0)[-2:].sum(axis=0)
            assert (255 * largest_two).max() <= np.iinfo(np.int16).max


@pytest.mark.skipif(
    platform.machine() != "x86_64" or shutil.which("qemu-x86_64") is None,
    reason="needs an emulated processor beside the real one (Debian on x86-64: apt-get install qemu-user)",
)
@pytest.mark.parametrize("mode", [Int8.DYNAMIC, Int8.STATIC])
def test_a_processor_without_vnni_gives_the_same(files, calibration, tmp_path, mode):
    features = calibration[0]
    inputs = (features.input_ids, features.lexicon_types, features.lexicon_words, features.lexicon_weights)
    np.savez(tmp_path / "inputs.npz", **dict(zip(INPUT_NAMES, inputs, strict=True)))
    script = """
import sys, numpy, onnxruntime
network, inputs, output = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
numpy.save(output, session.run(None, dict(numpy.load(inputs)))[0])
"""
    arguments = [files[mode], tmp_path / "inputs.npz", tmp_path / "emissions.npy"]
    command = ["qemu-x86_64", "-cpu", "Haswell", sys.executable, "-c", script, *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)
    here = onnx_emissions(files[mode], threads=1)(features)
    np.testing.assert_allclose(np.load(tmp_path / "emissions.npy"), here, atol=1e-4)


def test_static_results_do_not_depend_on_the_batch(files, calibration):
    run = onnx_emissions(files[Int8.STATIC], threads=1)
    features = calibration[0]
    together = run(features)
    alone = run(features._replace(**{name: getattr(features, name)[:1] for name in features._fields[:5]}))
    np.testing.assert_allclose(alone[0], together[0], atol=1e-4)


def test_static_int8_needs_calibration_text(toy_student, tmp_path):
    model, _, layout = load_model(toy_student)
    with pytest.raises(ValueError, match=r"needs calibration text \(--calibration FILE"):
        export_quantized(model, layout, tmp_path / "model.onnx", Int8.STATIC)
    with pytest.raises(ValueError, match="no sentence that the model could read"):
        calibration_batches(layout, None, ["", "甲" * 600])


def test_an_int8_network_that_picks_other_labels_is_refused(toy_student, calibration, tmp_path, monkeypatch):
    model, _, layout = load_model(toy_student)
    broken = load_model(toy_student)[0]
    torch.nn.init.normal_(broken.tag.weight)
    export_onnx(broken, layout, tmp_path / "broken.onnx")
    monkeypatch.setattr(int8_module, "quantize_products", lambda _, target: (tmp_path / "broken.onnx").rename(target))
    path = tmp_path / "model.onnx"
    with pytest.raises(ParityError, match="dynamic int8 picks the label of float32 for"):
        export_quantized(model, layout, path, Int8.DYNAMIC, calibration)
    assert not path.exists()


def test_emissions_that_are_no_numbers_agree_with_none(toy_student, calibration, tmp_path):
    model, _, layout = load_model(toy_student)
    export_onnx(model, layout, tmp_path / "model.onnx")
    network = onnx.load(tmp_path / "model.onnx")
    last = network.graph.node[-1]
    assert list(last.output) == ["EMISSIONS"]
    last.output[0] = "finite"
    network.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(np.nan), "nan"))
    network.graph.node.append(onnx.helper.make_node("Add", ["finite", "nan"], ["EMISSIONS"]))
    onnx.save(network, tmp_path / "nan.onnx")
    assert int8_module.label_agreement(tmp_path / "model.onnx", tmp_path / "model.onnx", calibration) == 1
    assert int8_module.label_agreement(tmp_path / "model.onnx", tmp_path / "nan.onnx", calibration) == 0


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (3, 4), (5, 2)])
def test_a_convolution_as_a_product_gives_the_same(kernel, dilation):
    convolution = torch.nn.Conv1d(6, 10, kernel, padding=dilation * (kernel - 1) // 2, dilation=dilation)
    inputs = torch.randn(3, 6, 17)
    torch.testing.assert_close(ProductConvolution(convolution)(inputs), convolution(inputs))


OWNED = {"collision_free_bigrams": True, "collision_free_words": True}


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ({"encoder": "separable_cnn"}, Int8.STATIC),
        ({"encoder": "transformer"}, Int8.DYNAMIC),
        ({"context": True, "trigram_embedding": 8, "trigram_hash_size": 64, **OWNED}, Int8.STATIC),
    ],
)
def test_other_students_give_the_same_with_products_and_can_be_quantised(
    options, mode, toy_student, calibration, tmp_path
):
    _, _, layout = load_model(toy_student)
    torch.manual_seed(1)
    student = Student(
        StudentConfig(
            vocabulary=len(layout.vocabulary),
            lexicon_types=len(layout.types),
            word_hash_size=layout.word_hash_size,
            entity_types=("name",),
            width=16,
            dilations=(1, 2),
            bigram_hash_size=64,
            **options,
        )
    ).eval()
    inputs = random_inputs(layout, 2, 12)
    if student.bigram_owners is not None:
        student.give_rows_to_bigrams([inputs[0]], minimum_count=1)
        student.fusion.give_rows_to_words([inputs[2]], minimum_count=1)
    torch.testing.assert_close(convolutions_as_products(student)(*inputs), student(*inputs), atol=1e-5, rtol=1e-5)
    export_quantized(student, layout, tmp_path / "model.onnx", mode, calibration)
    assert operators(tmp_path / "model.onnx") & {"MatMulInteger", "QuantizeLinear"}
