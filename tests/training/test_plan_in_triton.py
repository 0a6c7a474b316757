"""Triton's TensorRT backend is in NVIDIA's image alone. What it compares at start, and what a request must fit, is
compared here: the configuration, by Triton's own protobuf, with the inputs and outputs of a plan that was really built.
"""

import itertools

import pytest
from distillex_serving.repository import Layout, compose

pytest.importorskip("tritonclient.grpc")
from google.protobuf import text_format
from server_under_test import REPOSITORY
from tritonclient.grpc import model_config_pb2

pytestmark = pytest.mark.training

TYPES = {"INT32": model_config_pb2.TYPE_INT32, "FLOAT": model_config_pb2.TYPE_FP32}


@pytest.fixture(scope="module", params=["student", "teacher", "shipped student"])
def served(request, rtx_plans, tmp_path_factory):
    """A model's configuration in the repository for TensorRT, and what its plan's builder says of it."""
    built, layout = rtx_plans(request.param)
    folder = tmp_path_factory.mktemp("repository")
    model = folder / "model"
    layout.save(model)
    (model / "crf.json").write_text("{}", encoding="utf-8")
    (model / "model.plan").write_bytes(built.content)
    teacher = {"teacher": model} if request.param == "teacher" else {}
    made = folder / "made"
    compose(made, configurations=REPOSITORY, student=model, layout=Layout.TENSORRT, **teacher)
    written = made / ("teacher" if teacher else "student") / "config.pbtxt"
    return text_format.Parse(written.read_text(encoding="utf-8"), model_config_pb2.ModelConfig()), built.tensors, layout


def dimensions_agree(configured, built):
    """As the backend compares: the batch comes first, -1 on either side agrees with all."""
    whole = (-1, *configured)
    return len(whole) == len(built) and all(
        -1 in (ours, theirs) or ours == theirs for ours, theirs in zip(whole, built, strict=True)
    )


def test_names_types_and_dimensions_are_those_of_the_plan(served):
    config, tensors, _ = served
    assert config.platform == "tensorrt_plan"
    assert {tensor.name for tensor in config.input} == {name for name, built in tensors.items() if built.profile}
    assert {tensor.name for tensor in config.output} == {name for name, built in tensors.items() if not built.profile}
    for tensor in (*config.input, *config.output):
        built = tensors[tensor.name]
        assert tensor.data_type == TYPES[built.data_type], tensor.name
        assert dimensions_agree(tensor.dims, built.shape), tensor.name
        assert built.shape[0] == -1  # a batch of any size


def test_dimensions_that_differ_would_be_noticed():
    assert dimensions_agree((-1, 4, 4), (-1, -1, 4, 4))
    assert not dimensions_agree((-1, 4, 2), (-1, -1, 4, 4))
    assert not dimensions_agree((-1,), (-1, -1, 4, 4))


def test_batches_and_buckets_lie_within_the_plans_profile(served):
    config, tensors, layout = served
    for tensor in config.input:
        profile = tensors[tensor.name].profile
        assert (profile.smallest[0], profile.largest[0]) == (1, config.max_batch_size)
        assert (profile.smallest[1], profile.largest[1]) == (layout.buckets[0], layout.buckets[-1])


def within(profile, shape):
    return all(
        least <= size <= most for least, size, most in zip(profile.smallest, shape, profile.largest, strict=True)
    )


def test_the_warm_up_gives_every_input_a_shape_that_the_plan_takes(served):
    config, tensors, _ = served
    assert config.model_warmup
    for sample in config.model_warmup:
        assert sample.inputs.keys() == {tensor.name for tensor in config.input}
        for name, given in sample.inputs.items():
            assert given.data_type == TYPES[tensors[name].data_type]
            assert within(tensors[name].profile, (sample.batch_size, *given.dims)), name


def test_graphs_are_recorded_at_shapes_of_the_plan_and_of_the_layout_and_do_not_overlap(served):
    config, tensors, layout = served
    recorded = []
    for spec in config.optimization.cuda.graph_spec:
        bound = spec.graph_lower_bound
        assert spec.input.keys() == bound.input.keys() == {tensor.name for tensor in config.input}
        for name, shape in spec.input.items():
            assert within(tensors[name].profile, (spec.batch_size, *shape.dim)), name
            assert bound.input[name].dim == shape.dim, name  # rows of other lengths would lie elsewhere in memory
        (tokens,) = spec.input["INPUT_IDS"].dim
        assert tokens in layout.buckets
        assert 1 <= bound.batch_size <= spec.batch_size
        recorded.append((tokens, range(bound.batch_size, spec.batch_size + 1)))
    batches = [(tokens, batch) for tokens, sizes in recorded for batch in sizes]
    assert sorted(batches) == sorted(itertools.product((16, 32, 64, 128), range(1, 33)))
