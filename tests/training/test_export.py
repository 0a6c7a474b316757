"""Export to ONNX: files, shapes, parity with PyTorch, and exports that fail."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from distillex_matcher import CrfParameters, FeatureLayout
from distillex_matcher.exported import EXPORTED_FILES, ExportedFiles
from distillex_training.errors import ParityError
from distillex_training.export.folder import export_folder, put_in_place, staged
from distillex_training.export.onnx import export_onnx, inputs_of, open_session, random_inputs
from distillex_training.export.parity import largest_of
from distillex_training.export.quantize import QuantizedEmbedding, quantize_tables
from distillex_training.models import Student, StudentConfig, load_model, save_model

pytestmark = pytest.mark.training

NAMES = ("INPUT_IDS", "LEXICON_TYPES", "LEXICON_WORDS", "LEXICON_WEIGHTS")


@pytest.fixture(scope="module")
def exported(toy_student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    written = export_folder(toy_student, folder)
    assert set(written) == {folder / name for name in EXPORTED_FILES}
    return folder


def test_a_folder_holds_what_extraction_reads_and_nothing_else(exported, toy_student):
    _, crf, layout = load_model(toy_student)
    assert FeatureLayout.load(exported) == layout
    assert CrfParameters.load(exported / "crf.json") == crf.parameters_for_serving()
    files = ExportedFiles.beside(exported / "model.onnx")
    assert (files.layout, files.crf) == (layout, crf.parameters_for_serving())
    assert {path.name for path in exported.iterdir()} == set(EXPORTED_FILES)
    assert {path.stat().st_mode & 0o777 for path in exported.iterdir()} == {0o644}


def test_the_onnx_model_has_the_contracts_names_types_and_dynamic_shapes(exported):
    graph = onnx.load(exported / "model.onnx").graph
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
    session = open_session(exported / "model.onnx", threads=1)
    feeds = {name: tensor.numpy() for name, tensor in zip(NAMES, inputs, strict=True)}
    found = session.run(None, feeds)[0]
    real = inputs[0].numpy() != 0
    np.testing.assert_allclose(found[real], expected[real], atol=1e-4)


def test_half_of_what_a_model_is_checked_with_owns_rows():
    layout = FeatureLayout(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *map(chr, range(0x4E00, 0x4E00 + 200))), ("n",))
    student = Student(
        StudentConfig(
            vocabulary=204,
            lexicon_types=1,
            entity_types=("name",),
            collision_free_bigrams=True,
            collision_free_words=True,
        )
    )
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


@pytest.mark.parametrize(("half", "value"), [(False, float("nan")), (True, float("inf"))])
def test_emissions_that_are_no_numbers_are_not_written(toy_student, tmp_path, value, half):
    model, _, layout = load_model(toy_student)
    with torch.no_grad():
        model.tag.bias.fill_(value)
    with pytest.raises(ParityError, match="differs from PyTorch by nan"):
        export_onnx(model, layout, tmp_path / "model.onnx", half=half)
    assert list(tmp_path.iterdir()) == []


def test_the_largest_difference_is_that_of_any_run_on_real_tokens_and_keeps_what_is_no_number():
    real = np.array([[True, False]])
    expected = np.array([[[1.0, -3.0], [0.0, 0.0]]])
    padding = np.array([[[1.0, -3.0], [np.nan, 9.0]]])
    assert largest_of([(padding, expected, real), (expected + 0.5, expected, real)]) == (0.5, 3.0)
    for value in (np.nan, np.inf, -np.inf):
        wrong = np.array([[[1.0, value], [0.0, 0.0]]])
        for runs in ([(wrong, expected, real), (expected, expected, real)], [(expected, wrong, real)]):
            for order in (runs, runs[::-1]):
                assert np.isnan(largest_of(order)[0])


def test_a_network_is_opened_with_a_thread_for_each_usable_core(exported, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    network = exported / "model.onnx"
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


@pytest.fixture
def folder(exported, tmp_path):
    """An exported model, with a plan beside it."""
    shutil.copytree(exported, tmp_path / "folder")
    for name in PLAN:
        (tmp_path / "folder" / name).write_text("a plan", encoding="utf-8")
    return tmp_path / "folder"


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_plan_of_another_model_does_not_stay_beside_the_new_network(toy_student, other_student, folder, caplog):
    export_folder(toy_student, folder)  # of the same model
    assert names(folder) == {*EXPORTED_FILES, *PLAN}
    (folder / "README.md").write_text("a page", encoding="utf-8")
    export_folder(other_student, folder)
    assert names(folder) == {*EXPORTED_FILES, "README.md"}
    assert f"{folder}/model.plan removed: it is not known to be of this model" in caplog.text
    assert CrfParameters.load(folder / "crf.json") == load_model(other_student)[1].parameters_for_serving()


def test_a_network_of_another_model_does_not_stay_beside_a_new_plan(toy_student, other_student, folder):
    for directory, left in ((toy_student, {*EXPORTED_FILES, *PLAN}), (other_student, {*EXPORTED_FILES[1:], *PLAN})):
        _, crf, layout = load_model(directory)
        with staged(directory, folder) as staging:
            for name in PLAN:
                (staging / name).write_text("a new plan", encoding="utf-8")
            put_in_place(staging, folder, layout, crf.parameters_for_serving())
        assert names(folder) == left
        assert (folder / "model.plan").read_text(encoding="utf-8") == "a new plan"


def test_an_export_that_fails_leaves_what_was_there(other_student, folder, monkeypatch):
    before = files_of(folder)
    monkeypatch.setattr(CrfParameters, "save", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space left"):
        export_folder(other_student, folder)
    assert files_of(folder) == before


def test_a_model_is_exported_into_its_own_directory(toy_student, exported, tmp_path):
    shutil.copytree(toy_student, tmp_path / "mine")
    before = files_of(tmp_path / "mine")
    export_folder(tmp_path / "mine", tmp_path / "mine")
    after = files_of(tmp_path / "mine")
    assert {path: after[path] for path in before} == before
    assert {str(path) for path in after.keys() - before.keys()} == {"model.onnx", "crf.json"}
    load_model(tmp_path / "mine")
    export_folder(toy_student, tmp_path / "mine")  # of the same model, from elsewhere
    assert files_of(tmp_path / "mine").keys() == after.keys()


def exporting(model, output, *more):
    from distillex.command.main import application
    from typer.testing import CliRunner

    done = CliRunner().invoke(application, ["export", str(model), "-o", str(output), *more])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.parametrize("changed", ["model.safetensors", "config.json", "features.json", "vocabulary.txt"])
def test_the_directory_of_another_trained_model_is_refused_by_the_file_that_differs(toy_student, tmp_path, changed):
    shutil.copytree(toy_student, tmp_path / "mine")
    with (tmp_path / "mine" / changed).open("a", encoding="utf-8") as file:
        file.write(" ")
    before = files_of(tmp_path / "mine")
    code, output = exporting(toy_student, tmp_path / "mine")
    assert code == 1
    assert f"{tmp_path}/mine/{changed} is not that of {toy_student}: {tmp_path}/mine holds another trained" in output
    assert files_of(tmp_path / "mine") == before


def test_a_model_repository_holds_no_model(toy_student, tmp_path):
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "config.pbtxt").write_text("a configuration", encoding="utf-8")
    code, output = exporting(toy_student, tmp_path)
    assert (code, f"{tmp_path} is a model repository, which holds configurations alone" in output) == (1, True), output
    assert names(tmp_path) == {"student"}


def test_a_network_alone_is_not_put_beside_the_crf_of_another_model(toy_student, other_student, folder, tmp_path):
    before = files_of(folder)
    code, output = exporting(other_student, folder / "model.onnx", "--target", "onnx")
    assert (code, "holds the CRF or the layout of another model" in output) == (1, True), output
    assert files_of(folder) == before
    assert exporting(toy_student, folder / "model.onnx", "--target", "onnx")[0] == 0
    assert exporting(other_student, tmp_path / "model.onnx", "--target", "onnx")[0] == 0


@pytest.mark.parametrize(
    ("output", "target", "sentence"),
    [
        ("file", "folder", "/file is a file: a folder is expected there"),
        ("file/folder", "folder", "/file is a file: a folder is expected there"),
        ("file/model.onnx", "onnx", "/file is a file: a folder is expected there"),
        ("folder.onnx", "onnx", "/folder.onnx is a folder: a file is expected there"),
        ("network", "onnx", "--target onnx writes the network as NAME.onnx; "),
        ("x.gpu.onnx", "gpu", "--target gpu writes model.gpu.onnx into a folder; give a folder, not a file's name ("),
        ("x.plan", "gpu", "--target gpu writes model.gpu.onnx into a folder; give a folder, not a file's name ("),
        ("model.onnx", "folder", "/model.onnx is a file's name; a model is exported to a folder, with --target onnx"),
        (
            "model.plan",
            "folder",
            "/model.plan is a file's name; a model is exported to a folder, with --target tensorrt",
        ),
        ("model.onnx", "tensorrt", "/model.onnx is a file's name; "),
    ],
)
def test_an_output_of_the_wrong_kind_is_told_in_a_sentence(toy_student, tmp_path, output, target, sentence):
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "folder.onnx").mkdir()
    code, said = exporting(toy_student, tmp_path / output, "--target", target)
    # What is there is found out when it is written.
    expected = 1 if sentence.endswith("is expected there") else 2
    assert (code, sentence in said) == (expected, True), said
    assert names(tmp_path) == {"file", "folder.onnx"}


def test_a_network_holds_no_paths_of_this_machine(exported):
    content = (exported / "model.onnx").read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b"site-packages" not in content


def test_options_that_would_do_nothing_are_refused(toy_student, toy, tmp_path):
    text = ("--calibration", str(toy / "raw.txt"))
    for options, said in (
        (text, "--calibration belongs to --int8 static or dynamic; it is tables"),
        ((*text, "--int8", "none"), "--calibration belongs to --int8 static or dynamic; it is none"),
        (("--base", str(toy / "base.lex")), "--base is for the calibration text; give --calibration as well"),
    ):
        assert exporting(toy_student, tmp_path, *options) == (2, f"distillex export: {said}")
    assert names(tmp_path) == set()
