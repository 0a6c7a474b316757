"""The float16 network for GPUs: as plain as ONNX can say it, and near PyTorch's float32 on real text.

ONNX Runtime's CPU kernels keep what lies between operators in float16; most of them compute in float32 in between.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from distillex_matcher import FeatureLayout, Lexicon
from distillex_training.export.onnx import export_onnx, onnx_emissions
from distillex_training.export.plain_graph import constant_target, make_plain
from distillex_training.models import Student, StudentConfig, load_model
from onnx import TensorProto

pytestmark = pytest.mark.training

ROOT = Path(__file__).resolve().parents[2]
AT_RUN_TIME = {"Shape", "Range", "Expand", "ConstantOfShape", "NonZero", "Loop", "If"}
"""Operators that compute shapes, or whose shapes are known as the network runs."""


KINDS = ("student", "teacher", "shipped student")


def real_texts(kind, toy):
    """Texts of the model's kind, of several lengths, and the base lexicon that goes with them."""
    if kind == "shipped student":
        news = "".join((ROOT / "examples" / "news.txt").read_text(encoding="utf-8").split())
        texts = [news[begin : begin + length] for length in (30, 62) for begin in range(0, len(news), 17)]
        return texts, Lexicon.load(ROOT / "lexicons" / "base" / "1.lex")
    return (toy / "raw.txt").read_text(encoding="utf-8").split("\n")[:-1], Lexicon.load(toy / "base.lex")


@pytest.mark.parametrize("kind", KINDS)
def test_best_labels_and_emissions_are_those_of_pytorch_on_real_text(gpu_networks, toy, kind):
    path, directory = gpu_networks(kind)
    model, _, layout = load_model(directory)
    texts, base = real_texts(kind, toy)
    featurizer, run = layout.featurizer(base), onnx_emissions(path, threads=1)
    characters = others = 0
    worst = largest = 0.0
    for begin in range(0, len(texts), 32):
        features = featurizer.featurize(texts[begin : begin + 32])
        arrays = (features.input_ids, features.lexicon_types, features.lexicon_words, features.lexicon_weights)
        with torch.no_grad():
            expected = model(*map(torch.from_numpy, arrays)).numpy()
        found, real = run(features), features.input_ids != 0
        characters += real.sum()
        others += (found.argmax(-1) != expected.argmax(-1))[real].sum()
        worst = np.maximum(worst, np.abs(found - expected)[real].max())  # keeps NaN
        largest = np.maximum(largest, np.abs(expected[real]).max())
    assert characters > 500
    assert others <= 0.001 * characters
    assert worst <= 0.005 * largest


@pytest.mark.parametrize("kind", KINDS)
def test_every_reshape_has_a_constant_target_and_float32_is_at_the_ends_alone(gpu_networks, kind):
    graph = onnx.shape_inference.infer_shapes(onnx.load(gpu_networks(kind)[0])).graph
    constants = {constant.name: constant for constant in graph.initializer}
    reshapes = [node for node in graph.node if node.op_type == "Reshape"]
    assert reshapes
    assert {node.input[1] for node in reshapes} <= constants.keys()
    assert not any(constant.data_type == TensorProto.FLOAT for constant in constants.values())
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
    assert [name for name, kind in types.items() if kind == TensorProto.FLOAT] == ["LEXICON_WEIGHTS", "EMISSIONS"]


@pytest.mark.parametrize("kind", ["student", "shipped student"])
def test_nothing_of_a_student_depends_on_a_shape(gpu_networks, kind):
    graph = onnx.load(gpu_networks(kind)[0]).graph
    assert {node.op_type for node in graph.node}.isdisjoint(AT_RUN_TIME)


def test_a_teachers_attention_is_products_and_a_softmax(gpu_networks):
    """What compilers for GPUs join into one kernel: no guard, and no shape, stands between them."""
    graph = onnx.load(gpu_networks("teacher")[0]).graph
    made_by = {name: node for node in graph.node for name in node.output}
    softmaxes = [node for node in graph.node if node.op_type == "Softmax"]
    assert len(softmaxes) == 2  # layers
    for softmax in softmaxes:
        chain = [softmax]
        for expected in ("Add", "Mul", "MatMul", "Transpose", "Reshape"):
            chain.append(made_by[chain[-1].input[0]])
            assert chain[-1].op_type == expected
        assert {node.op_type for node in graph.node if softmax.output[0] in node.input} == {"MatMul"}


def test_the_words_of_a_slot_are_summed_by_one_operator_in_float16(gpu_networks):
    for kind in KINDS:
        graph = onnx.shape_inference.infer_shapes(onnx.load(gpu_networks(kind)[0])).graph
        (total,) = [node for node in graph.node if node.op_type == "ReduceSum"]
        (value,) = [value for value in graph.value_info if value.name == total.output[0]]
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT16


def test_a_transformer_with_trigrams_and_a_sentences_mean_is_as_plain(tmp_path):
    layout = FeatureLayout(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *"甲乙丙丁"), ("n",))
    parts = {"encoder": "transformer", "context": True, "trigram_embedding": 8, "trigram_hash_size": 64}
    torch.manual_seed(1)
    student = Student(
        StudentConfig(
            vocabulary=8,
            lexicon_types=1,
            word_hash_size=64,
            entity_types=("name",),
            width=16,
            dilations=(1, 2),
            bigram_hash_size=64,
            **parts,
        )
    ).eval()
    export_onnx(student, layout, tmp_path / "model.onnx", half=True)
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert {node.op_type for node in graph.node}.isdisjoint(AT_RUN_TIME)
    assert [node.op_type for node in graph.node].count("ReduceSum") == 2
    assert [node.attribute[0].i for node in graph.node if node.op_type == "Cast"].count(TensorProto.FLOAT) == 1


@pytest.mark.parametrize(
    ("before", "after", "target"),
    [
        (["batch", "tokens", 4, 32], ["batch", "tokens", 128], [0, 0, 128]),
        (["batch", "tokens", 384], ["batch", "tokens", 12, 32], [0, 0, 12, 32]),
        (["batch", "tokens", 8], ["8*batch*tokens"], [-1]),
        (["batch", "tokens", 8], ["batch*tokens", 8], [-1, 8]),
        (["batch", "tokens"], ["tokens", "batch"], None),
        (["batch", 0], ["batch", 0, 3], None),
        (["batch", None], ["batch", None], [0, -1]),
        (None, ["batch"], None),
        (["batch"], None, None),
    ],
)
def test_a_reshape_is_a_constant_where_sizes_are_taken_over_or_one_follows(before, after, target):
    assert constant_target(before, after) == target


def sum_between_casts(source, **of_the_casts):
    """float16 → float32 → sum → float16, of what ``source`` makes."""
    make = onnx.helper.make_node
    nodes = [
        source,
        make("Cast", ["narrow"], ["wide"], to=TensorProto.FLOAT),
        make("ReduceSum", ["wide"], ["total"], keepdims=0),
        make("Cast", ["total"], ["y"], to=TensorProto.FLOAT16),
    ]
    for node in nodes:
        if node.op_type == "Cast":
            for name, value in of_the_casts.items():
                node.attribute.insert(0, onnx.helper.make_attribute(name, value))
    make_value = onnx.helper.make_tensor_value_info
    inputs, outputs = [make_value("x", TensorProto.FLOAT16, ["n"])], [make_value("y", TensorProto.FLOAT16, [])]
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs)
    opsets = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("of.ours", 1)]
    return onnx.helper.make_model(graph, ir_version=9, opset_imports=opsets)


def test_a_sums_casts_go_whatever_else_they_say():
    network = sum_between_casts(onnx.helper.make_node("Neg", ["x"], ["narrow"]), saturate=1)
    make_plain(network)
    assert [node.op_type for node in network.graph.node] == ["Neg", "ReduceSum"]


def test_a_sum_of_what_no_type_is_known_of_stays_as_it_is():
    network = sum_between_casts(onnx.helper.make_node("Sorcery", ["x"], ["narrow"], domain="of.ours"))
    make_plain(network)
    assert [node.op_type for node in network.graph.node] == ["Sorcery", "Cast", "ReduceSum", "Cast"]
