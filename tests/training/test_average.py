"""The mean of models, as a command; a model to begin with that is not there."""

import pytest
import torch
from distillex_training.config import StudentRun, read_config
from distillex_training.distill import distill
from distillex_training.export.folder import export_folder
from distillex_training.models import load_model, save_model
from safetensors.torch import load_file
from typer.testing import CliRunner

pytestmark = pytest.mark.training

OWNED = {"student.collision_free_bigrams": "true"}


@pytest.fixture(scope="module")
def command():
    from distillex.command.main import application

    def run(*arguments):
        done = CliRunner().invoke(application, ["average", *map(str, arguments)])
        return done.exit_code, done.output

    return run


def test_a_model_to_begin_with_that_is_not_there_is_named(toy, tmp_path):
    from distillex.command.main import application

    asked = ["distill", str(toy / "student.yaml"), "-o", str(tmp_path / "run"), "--set", "init_from=models/nowhere"]
    done = CliRunner().invoke(application, asked)
    assert (done.exit_code, "init_from: models/nowhere: no such folder" in done.output.replace("\n", "")) == (2, True)


@pytest.fixture(scope="module")
def begun(toy, tmp_path_factory):
    """A student whose bigrams own rows, and two that begin with it, of other seeds and rates of dropout."""
    folder = tmp_path_factory.mktemp("begun")
    train = {"data.train": str(toy / "train.jsonl"), "data.dev": str(toy / "dev.jsonl"), "loop.epochs": "1"}
    distill(read_config(toy / "student.yaml", StudentRun, train | OWNED), folder / "first")
    found = [folder / "first" / "best"]
    for seed in ("2", "3"):
        keys = {"init_from": str(found[0]), "loop.seed": seed, "student.dropout": f"0.{seed}"}
        distill(read_config(toy / "student.yaml", StudentRun, train | keys), folder / seed)
        found.append(folder / seed / "best")
    return found


def weights_of(directory):
    model, crf, _ = load_model(directory)
    return {f"{part}.{n}": t for part, each in (("model", model), ("crf", crf)) for n, t in each.state_dict().items()}


def test_the_mean_is_that_of_every_weight(begun, command, tmp_path):
    code, output = command(*begun, "-o", tmp_path / "mean")
    assert (code, str(tmp_path / "mean") in output.replace("\n", "")) == (0, True), output
    mean, *each = (weights_of(directory) for directory in (tmp_path / "mean", *begun))
    for name, weight in mean.items():
        if weight.is_floating_point():
            torch.testing.assert_close(weight, torch.stack([weights[name] for weights in each]).mean(dim=0), msg=name)
        else:
            assert torch.equal(weight, each[0][name]), name
    assert not torch.equal(mean["model.head.weight"], each[0]["model.head.weight"])
    assert load_model(tmp_path / "mean")[2] == load_model(begun[0])[2]


def test_one_model_may_be_stored_in_half_precision(begun, command, tmp_path):
    assert command(begun[1], "-o", tmp_path / "half", "--weights", "float16")[0] == 0
    half, whole = weights_of(tmp_path / "half"), weights_of(begun[1])
    assert torch.equal(half["model.head.weight"], whole["model.head.weight"].half().float())
    sizes = [(directory / "model.safetensors").stat().st_size for directory in (tmp_path / "half", begun[1])]
    assert sizes[0] < 0.7 * sizes[1]


def test_a_student_stored_with_tables_of_int8_exports_the_same_network(begun, command, tmp_path):
    for storage in ("float16", "int8-tables"):
        assert command(begun[1], "-o", tmp_path / storage, "--weights", storage)[0] == 0
        export_folder(tmp_path / storage, tmp_path / f"{storage}-exported")
    half, tables = (tmp_path / f"{storage}-exported" / "model.onnx" for storage in ("float16", "int8-tables"))
    assert half.read_bytes() == tables.read_bytes()


def test_tables_of_int8_stay_the_same_when_they_are_stored_again(begun, command, tmp_path):
    for source, name in ((begun[1], "once"), (tmp_path / "once", "twice")):
        assert command(source, "-o", tmp_path / name, "--weights", "int8-tables")[0] == 0
    once, twice = (load_file(tmp_path / name / "model.safetensors") for name in ("once", "twice"))
    assert once.keys() == twice.keys()
    assert once["model.bigram_embedding.weight"].dtype == torch.int8
    assert all(torch.equal(once[name], twice[name]) for name in once)


def test_what_was_exported_of_earlier_weights_goes(begun, command, tmp_path):
    for name in ("model.onnx", "crf.json"):
        (tmp_path / name).touch()
    assert command(*begun[1:], "-o", tmp_path)[0] == 0
    assert not (tmp_path / "model.onnx").exists()
    assert not (tmp_path / "crf.json").exists()


def test_models_that_did_not_begin_alike_are_refused(begun, toy_student, toy_teacher, command, tmp_path):
    student, crf, layout = load_model(begun[0])
    student.bigram_owners.copy_(student.bigram_owners.roll(1))
    save_model(tmp_path / "owned", student, crf, layout)
    for second, reason in (
        (toy_student, "not of the same kind, sizes"),
        (toy_teacher, "not of the same kind, sizes"),
        (tmp_path / "owned", "bigram_owners differs"),
        (tmp_path, "missing"),
    ):
        code, output = command(begun[0], second, "-o", tmp_path / "mean")
        assert (code, reason in output.replace("\n", "")) == (2, True), output
        assert str(second) in output.replace("\n", "")
        assert not (tmp_path / "mean").exists()


def test_a_model_is_not_written_over_by_its_mean(begun, command, tmp_path):
    import shutil

    shutil.copytree(begun[0], tmp_path / "model")
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    code, output = command(tmp_path / "model", begun[1], "-o", tmp_path / "other" / ".." / "model")
    assert (code, "is one of the models" in " ".join(output.split())) == (2, True), output
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before


def test_weights_that_half_precision_does_not_hold_are_refused(begun, command, tmp_path):
    student, crf, layout = load_model(begun[0])
    with torch.no_grad():
        student.head.weight[0, 0] = 1e6
    save_model(tmp_path / "large", student, crf, layout)
    code, output = command(tmp_path / "large", "-o", tmp_path / "half", "--weights", "float16")
    assert (code, "head.weight holds what float16 does not" in " ".join(output.split())) == (2, True), output
    assert not (tmp_path / "half").exists()
    assert command(tmp_path / "large", "-o", tmp_path / "large" / "config.json")[0] == 2
