"""A student in its form for CPUs: the same emissions from fewer operators."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from distillex_training.export.cpu import CpuStudent
from distillex_training.export.onnx import INPUT_NAMES, export_onnx, inputs_of, onnx_emissions, random_inputs
from distillex_training.export.quantized_graph import quantize_before_moving
from distillex_training.models import Student, StudentConfig, load_model
from onnx import TensorProto, helper, numpy_helper

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def layout(toy_student):
    return load_model(toy_student)[2]


def student_of(layout, **options):
    """Return a small student whose biases and norms do something; where rows have owners, some do."""
    sizes = {"width": 16, "dilations": (1, 2), "bigram_hash_size": 64, "head": 24, **options}
    torch.manual_seed(1)
    student = Student(
        StudentConfig(
            vocabulary=len(layout.vocabulary),
            lexicon_types=len(layout.types),
            word_hash_size=layout.word_hash_size,
            entity_types=("name",),
            **sizes,
        )
    ).eval()
    for parameter in student.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter)
    ids, _, words, _ = random_inputs(layout, 8, 24)
    if student.bigram_owners is not None:
        student.give_rows_to_bigrams([ids], minimum_count=1)
    if student.fusion.word_owners is not None:
        student.fusion.give_rows_to_words([words], minimum_count=1)
    return student


KINDS = {
    "plain": {},
    "a bigram told by row and first character": {"collision_free_bigrams": True, "bigram_hash_size": 4096},
    "a bigram not told by them": {"collision_free_bigrams": True, "bigram_hash_size": 16},
    "owned words": {"collision_free_words": True},
    "trigrams and context": {"trigram_embedding": 8, "trigram_hash_size": 64, "context": True},
    "separable": {"encoder": "separable_cnn"},
    "transformer": {"encoder": "transformer"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_form_for_cpus_computes_what_the_student_computes(kind, layout):
    student = student_of(layout, **KINDS[kind])
    cpu = CpuStudent(student, layout)
    for batch, tokens in ((1, 2), (3, 17)):
        inputs = inputs_of(cpu, layout, batch, tokens)
        real = inputs[0] != 0
        with torch.no_grad():
            torch.testing.assert_close(cpu(*inputs)[real], student(*inputs)[real], atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def owned(layout):
    return student_of(layout, **KINDS["a bigram told by row and first character"])


@pytest.fixture(scope="module")
def network(owned, layout, tmp_path_factory):
    path = tmp_path_factory.mktemp("cpu") / "model.onnx"
    export_onnx(CpuStudent(owned, layout), layout, path)
    return path


def emissions(network, inputs):
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    feeds = dict(zip(INPUT_NAMES, (tensor.numpy() for tensor in inputs), strict=True))
    return session.run(None, feeds)[0]


@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
def test_its_network_computes_what_the_student_computes_whatever_share_of_the_slots_is_filled(
    share, network, owned, layout
):
    ids, types, words, weights = random_inputs(layout, 3, 20)
    filled = torch.rand(types.shape, generator=torch.Generator().manual_seed(2)) < share
    types = torch.where(filled, 1, 0).int()
    words, weights = torch.where(filled, 3, 0).int(), torch.where(filled, 0.3, 0.0)
    with torch.no_grad():
        expected = owned(ids, types, words, weights).numpy()
    real = ids.numpy() != 0
    found = emissions(network, (ids, types, words, weights))
    np.testing.assert_allclose(found[real], expected[real], atol=1e-5)


def test_its_network_copies_nothing_that_can_be_read_where_it_lies(network):
    operators = Counter(node.op_type for node in onnx.load(network).graph.node)
    assert not {"Split", "Slice", "Pow", "Tanh", "ReduceSum", "Expand"} & set(operators)
    assert operators["Gelu"] == 1
    assert operators["Concat"] == 2  # the inputs of the projection, and a shape
    assert operators["Conv"] == 2 * 2
    assert operators.total() <= 65


def test_onnx_runtime_does_not_fuse_residuals_and_norms_unasked(network, owned, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    operators = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert "SkipLayerNormalization" not in operators
    assert operators["LayerNormalization"] == len(owned.layers)


def test_a_layout_of_more_words_than_rows_is_folded(layout, tmp_path):
    student = student_of(layout)
    distinct = layout.with_distinct_words()
    export_onnx(CpuStudent(student, distinct), distinct, tmp_path / "model.onnx")
    inputs = random_inputs(distinct, 2, 12)
    assert inputs[2].max() > layout.word_hash_size
    with torch.no_grad():
        expected = student(*inputs).numpy()
    real = inputs[0].numpy() != 0
    np.testing.assert_allclose(emissions(tmp_path / "model.onnx", inputs)[real], expected[real], atol=1e-5)


def quantised_network():
    """Return a network that joins rows of a table, the same moved by one, and an input, and quantises that twice."""
    constants = {
        "table": np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32),
        "moves": np.array([0, 1, 0, 0, -1, 0], np.int64),
        "wide": np.array(0.05, np.float32),
        "narrow": np.array(0.01, np.float32),
        "middle": np.array(128, np.uint8),
        "other_middle": np.array(120, np.uint8),
    }
    nodes = [
        helper.make_node("Gather", ["table", "rows"], ["vectors"]),
        helper.make_node("Pad", ["vectors", "moves"], ["before"]),
        helper.make_node("QuantizeLinear", ["more", "narrow", "other_middle"], ["more_q"]),
        helper.make_node("DequantizeLinear", ["more_q", "narrow", "other_middle"], ["more_d"]),
        helper.make_node("Concat", ["vectors", "before", "more_d"], ["joined"], axis=-1),
        helper.make_node("QuantizeLinear", ["joined", "wide", "middle"], ["joined_q"]),
        helper.make_node("DequantizeLinear", ["joined_q", "wide", "middle"], ["first"]),
        helper.make_node("Identity", ["more_d"], ["second"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [
            helper.make_tensor_value_info("rows", TensorProto.INT32, [2, 5]),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, [2, 5, 3]),
        ],
        [
            helper.make_tensor_value_info("first", TensorProto.FLOAT, [2, 5, 11]),
            helper.make_tensor_value_info("second", TensorProto.FLOAT, [2, 5, 3]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_what_is_moved_is_quantised_before_and_gives_the_same():
    network = quantised_network()
    generator = np.random.default_rng(1)
    feeds = {
        "rows": generator.integers(0, 9, (2, 5), dtype=np.int32),
        "more": generator.normal(size=(2, 5, 3)).astype(np.float32),
    }

    def run():
        session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, feeds)

    before = run()
    quantize_before_moving(network)
    onnx.checker.check_model(network, full_check=True)
    after = run()
    np.testing.assert_array_equal(after[0][..., :8], before[0][..., :8])  # the table's rows: the same bytes
    # The input is quantised once, in the range of what it is joined with.
    assert [node.input[0] for node in network.graph.node if node.op_type == "QuantizeLinear"] == ["more"]
    np.testing.assert_allclose(after[1], feeds["more"], atol=0.025 + 1e-6)
    np.testing.assert_array_equal(after[0][..., 8:], after[1])
    assert {i.data_type for i in network.graph.initializer if i.dims == [9, 4]} == {TensorProto.UINT8}


def test_a_network_that_is_run_alone_or_in_a_batch_gives_the_same(network, layout):
    ids, types, words, weights = random_inputs(layout, 6, 16)
    run = onnx_emissions(network, threads=1)

    class Rows:
        def __init__(self, rows):
            names = ("input_ids", "lexicon_types", "lexicon_words", "lexicon_weights")
            for name, tensor in zip(names, (ids, types, words, weights), strict=True):
                setattr(self, name, tensor[rows].numpy())

    together = run(Rows(slice(None)))
    for row in range(3):
        np.testing.assert_allclose(run(Rows(slice(row, row + 1)))[0], together[row], atol=1e-5)
