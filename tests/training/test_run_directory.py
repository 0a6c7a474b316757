"""A run directory goes on with what it was started with, and with nothing else."""

import json
import shutil

import pytest
from distillex_training.config import PretrainRun, StudentRun, TeacherRun, read_config
from distillex_training.distill import distill
from distillex_training.errors import DivergenceError, RunDirectoryError
from distillex_training.finetune import finetune
from distillex_training.pretrain import pretrain
from distillex_training.run_directory import LOCK
from distillex_training.run_record import content_checksum, differences, record_of
from filelock import FileLock
from typer.testing import CliRunner

pytestmark = pytest.mark.training

SHORT = {"loop.epochs": "1"}


def student(toy, **overrides):
    return read_config(
        toy / "student.yaml", StudentRun, SHORT | {k.replace("__", "."): v for k, v in overrides.items()}
    )


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
    directory = tmp_path_factory.mktemp("finished") / "run"
    distill(student(toy), directory)
    return directory


def files_of(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file() and path.name != LOCK}


def test_a_finished_run_says_so_and_is_not_trained_again(toy, finished, caplog):
    before = files_of(finished)
    with caplog.at_level("INFO", "distillex.training"):
        best = distill(student(toy), finished)
    assert "is finished already: nothing was trained" in caplog.text
    assert best == json.loads((finished / "finished.json").read_text(encoding="utf-8"))
    assert best["f1"] == json.loads((finished / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])["f1"]
    assert files_of(finished) == before


@pytest.mark.parametrize("steps", [None, 3])
@pytest.mark.parametrize(
    ("overrides", "difference"),
    [
        ({"learning_rate": "5e-3"}, "learning_rate: 0.01 then, 0.005 now"),
        ({"loop.epochs": "3"}, "loop.epochs: 1 then, 3 now"),
        ({"student.dilations": "[1]"}, "student.dilations: [1, 2] then, [1] now"),
        ({"augmentation.near_miss": "0.1"}, "augmentation.near_miss: 0.3 then, 0.1 now"),
    ],
)
def test_a_run_with_other_settings_is_refused_with_both_values(toy, tmp_path, steps, overrides, difference):
    distill(student(toy), tmp_path / "run", max_steps=steps)
    before = files_of(tmp_path / "run")
    with pytest.raises(RunDirectoryError) as raised:
        distill(student(toy, **overrides), tmp_path / "run")
    assert difference in str(raised.value)
    assert len(str(raised.value).splitlines()) == 3
    assert "give another directory" in str(raised.value)
    assert files_of(tmp_path / "run") == before


@pytest.mark.parametrize("name", ["train.jsonl", "dev.jsonl", "base.lex"])
def test_other_content_under_the_same_path_is_a_difference(toy, tmp_path, name):
    for each in ("train.jsonl", "dev.jsonl", "base.lex", "student.yaml"):
        shutil.copy(toy / each, tmp_path / each)
    distill(student(tmp_path), tmp_path / "run", max_steps=2)
    if name == "base.lex":
        from distillex_matcher import Lexicon

        Lexicon.from_entries([("昨天", "t", 0.9)]).save(tmp_path / name)
    else:
        (tmp_path / name).write_text("".join((toy / name).read_text("utf-8").splitlines(True)[:-1]), encoding="utf-8")
    with pytest.raises(RunDirectoryError, match=rf"{name} \(SHA-256 .*…\) then, .*{name} \(SHA-256 .*…\) now"):
        distill(student(tmp_path), tmp_path / "run")


def test_the_same_content_under_another_path_is_no_difference(toy, finished, toy_student, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    shutil.copy(toy / "dev.jsonl", tmp_path / "other.jsonl")
    moved = student(toy, data__dev=str(tmp_path / "other.jsonl"), distillation__cache=str(tmp_path / "cache"))
    assert distill(moved, tmp_path / "run") == distill(student(toy), finished)
    shutil.copytree(toy_student, tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("a card", encoding="utf-8")
    records = [record_of(student(toy, init_from=str(path))) for path in (toy_student, tmp_path / "model")]
    assert differences(*records) == []
    (tmp_path / "model" / "config.json").write_text("{}", encoding="utf-8")
    (difference,) = differences(records[0], record_of(student(toy, init_from=str(tmp_path / "model"))))
    assert difference.startswith(f"init_from: {toy_student} (SHA-256 ")


def test_a_difference_in_what_may_be_a_folder_or_a_name(teacher_configuration, toy_encoder, tmp_path):
    def record(encoder):
        return record_of(read_config(teacher_configuration, TeacherRun, {"encoder": str(encoder)}))

    shutil.copytree(toy_encoder, tmp_path / "encoder")
    assert differences(record(toy_encoder), record(tmp_path / "encoder")) == []
    with (tmp_path / "encoder" / "vocab.txt").open("a", encoding="utf-8") as file:
        file.write("甲\n")
    assert len(differences(record(toy_encoder), record(tmp_path / "encoder"))) == 1
    (difference,) = differences(record(toy_encoder), record("some/name"))
    assert difference.endswith('then, "some/name" now')


def test_another_kind_of_run_is_refused(finished, teacher_configuration, toy, tmp_path):
    with pytest.raises(RunDirectoryError, match="kind of run: StudentRun then, TeacherRun now"):
        finetune(read_config(teacher_configuration, TeacherRun), finished)
    raw = tmp_path / "pretrain.yaml"
    raw.write_text(f"raw: [{toy}/raw.txt]\nencoder: {{model_type: albert}}\nwhole_word: false\n", encoding="utf-8")
    with pytest.raises(RunDirectoryError, match="StudentRun then, PretrainRun now"):
        pretrain(read_config(raw, PretrainRun), finished)
    assert not (finished / "corpus").exists()


def test_a_directory_without_a_record_of_its_settings_is_refused(toy, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(RunDirectoryError, match=r"holds checkpoint\.pt, .* but no record of the settings"):
        distill(student(toy), tmp_path / "run")
    for content, message in (("{", "not JSON"), ('{"format": 99}', "another version")):
        (tmp_path / "run" / "run.json").write_text(content, encoding="utf-8")
        with pytest.raises(RunDirectoryError, match=message):
            distill(student(toy), tmp_path / "run")


def test_a_run_that_stopped_before_it_trained_leaves_the_directory_free(toy, tmp_path):
    with pytest.raises(DivergenceError, match=r"the loss is (nan|inf) in epoch 1 after \d+ steps"):
        distill(student(toy, learning_rate="1e30"), tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    assert distill(student(toy), tmp_path / "run")["f1"] >= 0


def test_the_best_weights_and_the_checkpoint_have_to_be_whole(toy, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "finished")
    shutil.rmtree(tmp_path / "finished" / "best")
    with pytest.raises(RunDirectoryError, match="the run's best weights are missing"):
        distill(student(toy), tmp_path / "finished")
    two = {"loop__epochs": "2"}
    distill(student(toy, **two), tmp_path / "run", max_steps=8)
    shutil.copytree(tmp_path / "run", tmp_path / "other")
    shutil.rmtree(tmp_path / "run" / "best")
    with pytest.raises(RunDirectoryError, match="the run's best weights are missing"):
        distill(student(toy, **two), tmp_path / "run")
    checkpoint = tmp_path / "other" / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(RunDirectoryError, match=r"checkpoint\.pt cannot be read"):
        distill(student(toy, **two), tmp_path / "other")


def test_two_runs_do_not_train_in_one_directory(toy, finished, tmp_path):
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / LOCK), pytest.raises(RunDirectoryError, match="another process trains in it"):
        distill(student(toy), tmp_path / "run")
    assert distill(student(toy), tmp_path / "run") == distill(student(toy), finished)


def test_a_directory_that_cannot_be_written_to_is_refused(toy, tmp_path):
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunDirectoryError, match="is no directory that can be written to"):
            distill(student(toy), directory)


def test_the_command_names_the_difference_and_tells_a_finished_run(toy, finished):
    from distillex.command.main import application

    def run(*more):
        asked = ["distill", str(toy / "student.yaml"), "-o", str(finished), "--set", "loop.epochs=1", *more]
        done = CliRunner().invoke(application, asked)
        return done.exit_code, " ".join(done.output.split())

    code, output = run()
    assert (code, "best development F1" in output) == (0, True)
    code, output = run("--set", "learning_rate=1e-3")
    assert (code, "learning_rate: 0.01 then, 0.001 now" in output) == (1, True)


def test_processes_and_accumulation_together_are_one_setting(toy):
    alone = record_of(student(toy, loop__accumulate="2"))
    assert differences(alone, record_of(student(toy), processes=2)) == []
    (difference,) = differences(alone, record_of(student(toy, loop__accumulate="2"), processes=2))
    assert difference == "loop.accumulate: 2 then, 4 now"


def test_nothing_has_no_checksum(tmp_path):
    assert content_checksum(tmp_path / "nothing") is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("loop.epochs=0", "epochs is 0; at least 1"),
        ("loop.batch_size=-1", "batch_size is -1; at least 1"),
        ("loop.averaging=1.0", r"averaging is 1\.0; at least 0 and less than 1"),
        ("loop.steps=-1", "steps is -1; at least 0"),
        ("data.train.more=1", 'data.train is "train.jsonl", which has no keys'),
        ("loop.seed=[", r"--set loop\.seed=\[: '\[' is not YAML"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(toy, setting, message):
    from distillex_training.errors import ConfigError

    with pytest.raises(ConfigError, match=message):
        read_config(toy / "student.yaml", StudentRun, dict([setting.split("=")]))


def test_a_list_that_an_earlier_version_did_not_know_of_is_no_difference_while_it_is_empty(toy):
    now = record_of(student(toy))
    then = json.loads(json.dumps(now))
    assert then["settings"].pop("distillation.labels") == []
    assert differences(then, now) == []
    now["settings"]["distillation.ensemble"] = ["a"]
    assert differences(then, now) == ['distillation.ensemble: [] then, ["a"] now']
