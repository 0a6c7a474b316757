import shutil

import numpy as np
import onnx
import pytest
import torch
from distillex_matcher import CrfParameters, FeatureLayout
from distillex_matcher.exported import ExportedFiles
from distillex_training.export.onnx import ParityError, export_onnx, inputs_of, open_session, random_inputs
from distillex_training.export.quantize import QuantizedEmbedding, quantize_tables
from distillex_training.export.repository import export_repository, remove_networks_of_others
from distillex_training.models import Student, StudentConfig, load_model, save_model

NAMES = ("INPUT_IDS", "LEXICON_TYPES", "LEXICON_WORDS", "LEXICON_WEIGHTS")


@pytest.fixture(scope="module")
def exported(toy_student, tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    export_repository(toy_student, repository)
    return repository


def test_a_repository_holds_what_serving_reads(exported, toy_student):
    _, crf, layout = load_model(toy_student)
    assert FeatureLayout.load(exported / "preprocess" / "1") == layout
    assert CrfParameters.load(exported / "decode" / "1" / "crf.json") == crf.parameters_for_serving()
    files = ExportedFiles.beside(exported / "student" / "1" / "model.onnx")
    assert (files.layout, files.crf) == (layout, crf.parameters_for_serving())
    assert [path.name for path in (exported / "student" / "1").iterdir()] == ["model.onnx"]


def test_the_onnx_model_has_the_contracts_names_types_and_dynamic_shapes(exported):
    graph = onnx.load(exported / "student" / "1" / "model.onnx").graph
    assert [i.name for i in graph.input] == list(NAMES)
    assert [o.name for o in graph.output] == ["EMISSIONS"]
    kinds = [i.type.tensor_type.elem_type for i in graph.input]
    assert kinds == [onnx.TensorProto.INT32] * 3 + [onnx.TensorProto.FLOAT]
    shape = graph.input[1].type.tensor_type.shape.dim
    assert [bool(d.dim_param) for d in shape] == [True, True, False, False]


@pytest.mark.parametrize(("batch", "tokens"), [(1, 3), (5, 17), (64, 16), (2, 511)])
def test_onnx_runtime_computes_what_pytorch_computes_at_any_shape(exported, toy_student, batch, tokens):
    model, _, layout = load_model(toy_student)
    inputs = random_inputs(layout, batch, tokens, seed=9)
    with torch.no_grad():
        expected = quantize_tables(model)(*inputs).numpy()
    session = open_session(exported / "student" / "1" / "model.onnx", threads=1)
    feeds = {name: tensor.numpy() for name, tensor in zip(NAMES, inputs, strict=True)}
    found = session.run(None, feeds)[0]
    real = inputs[0].numpy() != 0
    np.testing.assert_allclose(found[real], expected[real], atol=1e-4)


def test_half_of_what_a_model_is_checked_with_owns_rows():
    layout = FeatureLayout(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *map(chr, range(0x4E00, 0x4E00 + 200))), ("n",))
    student = Student(StudentConfig(204, 1, 32768, ("name",), owned_bigrams=True, owned_words=True))
    assert (student.bigram_rows(inputs_of(student, layout, 8, 64)[0]) == 0).all()
    student.give_rows_to_bigrams([torch.tensor([[4, 5, 6, 7, 8, 9]])], minimum_count=1)
    student.fusion.give_rows_to_words([torch.tensor([100_000, 200_000])], minimum_count=1)
    ids, _, words, _ = inputs_of(student, layout, 8, 64)
    assert (ids == 0).sum() == 32
    assert 0.4 < (student.bigram_rows(ids)[ids != 0] > 0).float().mean() < 0.8
    assert 0.4 < (student.fusion.word_rows(words)[words > 0] > 0).float().mean() < 0.6


def test_int8_rows_stay_within_half_a_step():
    embedding = torch.nn.Embedding(50, 8)
    quantized = QuantizedEmbedding(embedding)
    indices = torch.arange(50, dtype=torch.int32)
    steps = embedding.weight.abs().amax(dim=1, keepdim=True) / 127
    difference = (quantized(indices) - embedding.weight).abs()
    assert quantized.rows.dtype == torch.int8
    assert (difference <= steps / 2 + 1e-6).all()


def test_words_are_stored_in_float16_and_types_as_they_are(toy_student):
    model, _, _ = load_model(toy_student)
    small = quantize_tables(model)
    assert small.fusion.word_embedding.rows.dtype == torch.float16
    assert small.fusion.type_embedding.weight.dtype == torch.float32
    indices = torch.arange(20, dtype=torch.int32)
    found, expected = small.fusion.word_embedding(indices), model.fusion.word_embedding.weight[:20]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=2**-11)


def test_a_model_that_differs_is_not_written(toy_student, tmp_path, monkeypatch):
    model, _, layout = load_model(toy_student)
    monkeypatch.setattr("distillex_training.export.onnx.PARITY", -1.0)
    with pytest.raises(ParityError, match="differs from PyTorch"):
        export_onnx(model, layout, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_network_is_opened_with_a_thread_for_each_usable_core(exported, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    network = exported / "student" / "1" / "model.onnx"
    assert open_session(network).get_session_options().intra_op_num_threads == 1
    assert open_session(network, threads=2).get_session_options().intra_op_num_threads == 2


PLAN = ("model.plan", "model.plan.onnx", "model.plan.json")


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def other_student(toy_student, tmp_path):
    """The toy student with another CRF."""
    model, crf, layout = load_model(toy_student)
    with torch.no_grad():
        crf.crf.transitions[0, 0] += 1
    save_model(tmp_path / "other", model, crf, layout)
    return tmp_path / "other"


def test_a_plan_of_another_model_does_not_stay_beside_the_new_one(
    exported, toy_student, other_student, tmp_path, caplog
):
    repository = tmp_path / "repository"
    shutil.copytree(exported, repository)
    for name in PLAN:
        (repository / "student" / "1" / name).write_text("a plan", encoding="utf-8")
    (repository / "student" / "config.pbtxt").write_text("a configuration", encoding="utf-8")
    export_repository(toy_student, repository)  # of the same model
    assert {path.name for path in (repository / "student" / "1").iterdir()} == {"model.onnx", *PLAN}
    export_repository(other_student, repository)
    assert {path.name for path in (repository / "student" / "1").iterdir()} == {"model.onnx"}
    assert (repository / "student" / "config.pbtxt").exists()
    assert f"{repository}/student/1/model.plan removed: it is not known to be of this model" in caplog.text
    crf = load_model(other_student)[1].parameters_for_serving()
    assert CrfParameters.load(repository / "decode" / "1" / "crf.json") == crf


def test_a_network_of_another_model_does_not_stay_beside_a_new_plan(exported, toy_student, other_student, tmp_path):
    repository = tmp_path / "repository"
    shutil.copytree(exported, repository)
    for name in PLAN:
        (repository / "student" / "1" / name).write_text("a plan", encoding="utf-8")
    for directory, left in ((toy_student, {"model.onnx", *PLAN}), (other_student, set(PLAN))):
        model, crf, layout = load_model(directory)
        remove_networks_of_others(repository, model, layout, crf, kept="model.plan")
        assert {path.name for path in (repository / "student" / "1").iterdir()} == left


def test_an_export_that_fails_leaves_what_was_there(exported, other_student, tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    shutil.copytree(exported, repository)
    monkeypatch.setattr(CrfParameters, "save", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space left"):
        export_repository(other_student, repository)
    assert files_of(repository) == files_of(exported)


def test_a_network_alone_is_not_put_beside_the_crf_of_another_model(exported, toy_student, other_student, tmp_path):
    from distillex_cli.main import application
    from typer.testing import CliRunner

    repository = tmp_path / "repository"
    shutil.copytree(exported, repository)
    network = repository / "student" / "1" / "model.onnx"

    def run(model, output):
        asked = ["export", str(model), "-o", str(output), "--target", "onnx"]
        done = CliRunner().invoke(application, asked)
        return done.exit_code, " ".join(done.output.split())

    code, output = run(other_student, network)
    assert (code, "holds the CRF and the layout of another model" in output) == (1, True), output
    assert files_of(repository) == files_of(exported)
    assert run(toy_student, network)[0] == 0
    assert run(other_student, tmp_path / "model.onnx")[0] == 0


def test_a_repository_is_not_named_like_a_file(toy_student, tmp_path):
    from distillex_cli.main import application
    from typer.testing import CliRunner

    for name, target in (("model.onnx", "onnx"), ("model.plan", "tensorrt")):
        done = CliRunner().invoke(application, ["export", str(toy_student), "-o", str(tmp_path / name)])
        assert done.exit_code == 1
        assert f"--target {target} a file" in " ".join(done.output.split())
        assert not (tmp_path / name).exists()
