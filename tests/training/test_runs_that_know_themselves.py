"""A run directory holds what it was started with; other settings go on only when asked to, and say what changes."""

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from distillex.command.main import application
from distillex_training import run_record
from distillex_training.config import StudentRun, TeacherRun, read_config
from distillex_training.distill import distill
from distillex_training.errors import RunDirectoryError
from distillex_training.models import load_model
from distillex_training.run_directory import LOCK
from distillex_training.run_overview import read_run
from distillex_training.run_record import differences, record_of
from distillex_training.teacher_cache import cache_key
from filelock import FileLock
from typer.testing import CliRunner

pytestmark = pytest.mark.training

ROOT = Path(__file__).resolve().parents[2]
EARLIER = json.loads((Path(__file__).parent / "earlier_records.json").read_text(encoding="utf-8"))
SHORT = {"loop.epochs": "2"}


def student(toy, **overrides):
    return read_config(
        toy / "student.yaml", StudentRun, SHORT | {key.replace("__", "."): value for key, value in overrides.items()}
    )


def run_command(*arguments):
    return CliRunner().invoke(application, [str(each) for each in arguments])


def rows_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def stopped(toy, tmp_path_factory):
    """A run that was stopped in its second epoch of two."""
    directory = tmp_path_factory.mktemp("stopped") / "run"
    distill(student(toy), directory, max_steps=8)
    return directory


@pytest.mark.parametrize("name", EARLIER)
def test_a_run_that_an_earlier_version_began_goes_on(monkeypatch, name):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(run_record, "_content", str)  # files by their paths: the content of most is not here
    kind = {"StudentRun": StudentRun, "TeacherRun": TeacherRun}[EARLIER[name]["kind"]]
    run = read_config(Path("training/configs") / f"{name}.yaml", kind)
    assert differences(EARLIER[name], record_of(run)) == []
    other = read_config(Path("training/configs") / f"{name}.yaml", kind, {"distillation.losses": "{viterbi: 0.25}"})
    changed = differences(EARLIER[name], record_of(other))
    assert any(re.match(r"distillation\.losses\.viterbi: [01]\.0 then, 0\.25 now", line) for line in changed)


def test_a_setting_that_an_earlier_version_did_not_have_had_what_is_its_default(toy):
    record = record_of(student(toy))
    earlier = {**record, "settings": dict(record["settings"])}
    for key in ("student.context", "data.train.0.weight", "distillation.losses.logit_kl", "loop.patience"):
        del earlier["settings"][key]
    assert differences(earlier, record) == []
    (difference,) = differences(earlier, record_of(student(toy, loop__patience="3")))
    assert difference == "loop.patience: 0 then, 3 now"
    two = record_of(student(toy, data__train="[train.jsonl, dev.jsonl]"))
    assert any(line.startswith("data.train.1.path: nothing then") for line in differences(earlier, two))


def test_what_a_teacher_s_outputs_are_kept_by_is_what_it_was(tmp_path):
    """The keys that caches of earlier versions have: they would be computed anew otherwise."""
    for name, content in (("config.json", "{}\n"), ("model.safetensors", "weights"), ("README.md", "a card")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    data = SimpleNamespace(base=SimpleNamespace(checksum="0" * 64), raw=["东方电子", "昨天"])
    files = "".join(
        f"{name} {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}\n"
        for name in ("config.json", "model.safetensors")
    )
    said = f"2 {'0' * 64}\n{hashlib.sha256(files.encode()).hexdigest()}\n".encode()
    said += b"".join(b"%d " % len(text.encode()) + text.encode() for text in data.raw)
    assert cache_key([tmp_path], data) == hashlib.sha256(said).hexdigest()[:16]


def test_a_run_directory_holds_configuration_versions_and_seed(toy, stopped):
    record = json.loads((stopped / "run.json").read_text(encoding="utf-8"))
    assert record["versions"]["torch"] == importlib.metadata.version("torch")
    assert record["seed"] == 1
    assert record["settings"]["data.lexicon"]["sha256"] == run_record.content_checksum(toy / "base.lex")
    assert record["settings"]["data.train.0.path"]["sha256"] == run_record.content_checksum(toy / "train.jsonl")
    # The whole configuration is one that describes the same run.
    again = read_config(stopped / "config.yaml", StudentRun)
    assert differences(record, record_of(again)) == []


def test_a_model_says_which_base_lexicon_it_was_trained_with(toy, stopped, tmp_path):
    from distillex_matcher import Lexicon
    from distillex_training.average import average
    from distillex_training.models.directory import other_lexicon

    base = Lexicon.load(toy / "base.lex")
    assert json.loads((stopped / "best" / "config.json").read_text(encoding="utf-8"))["lexicon"] == base.checksum
    average([stopped / "best"], tmp_path / "mean")
    for directory in (stopped / "best", tmp_path / "mean"):
        assert other_lexicon(directory, base) == ""
        said = other_lexicon(directory, Lexicon.from_words({"东方": None}))
        assert f"was trained with the base lexicon {base.checksum[:12]}…" in said


def test_changed_settings_go_on_when_asked_to_and_are_written_down(toy, stopped, tmp_path, caplog):
    run = shutil.copytree(stopped, tmp_path / "run")
    changed = student(toy, learning_rate="1e-4", loop__epochs="3")
    with pytest.raises(RunDirectoryError, match="go on all the same with --resume-with-changes"):
        distill(changed, run)
    with caplog.at_level("INFO", "distillex.training"):
        distill(changed, run, resume_with_changes=True)
    lines = ["loop.epochs: 2 then, 3 now", "learning_rate: 0.01 then, 0.0001 now"]
    assert all(line in caplog.text for line in lines)
    assert "epoch 2 begins anew" in caplog.text
    assert [row["epoch"] for row in rows_of(run)] == [1.0, 2.0, 3.0]
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["resumed"][-1]["changes"] == lines
    assert record["begun"] == json.loads((stopped / "run.json").read_text(encoding="utf-8"))["begun"]
    # The rates are those of now, not those in the checkpoint.
    groups = torch.load(run / "checkpoint.pt", weights_only=True)["optimizer"]["param_groups"]
    assert groups[0]["initial_lr"] == 1e-4
    assert groups[0]["lr"] <= 1e-4 < groups[1]["initial_lr"]
    # From then on the changed settings are the run's.
    assert distill(changed, run) == json.loads((run / "finished.json").read_text(encoding="utf-8"))


def test_a_finished_run_goes_on_with_more_epochs(toy, tmp_path):
    distill(student(toy, loop__epochs="1", data__test="dev.jsonl"), tmp_path / "run")
    more = student(toy, loop__epochs="2", data__test="dev.jsonl")
    distill(more, tmp_path / "run", resume_with_changes=True, max_steps=1)
    assert not (tmp_path / "run" / "finished.json").exists()
    assert not (tmp_path / "run" / "test.json").exists()
    distill(more, tmp_path / "run")
    assert [row["epoch"] for row in rows_of(tmp_path / "run")] == [1.0, 2.0]
    assert (tmp_path / "run" / "test.json").exists()


def test_a_run_killed_just_after_its_settings_changed_goes_on_with_those_of_now(toy, stopped, tmp_path):
    run = shutil.copytree(stopped, tmp_path / "run")
    changed = student(toy, learning_rate="1e-4", data__dev="train.jsonl")
    distill(changed, run, resume_with_changes=True, max_steps=0)
    saved = torch.load(run / "checkpoint.pt", weights_only=True)
    assert saved["optimizer"]["param_groups"][0]["initial_lr"] == 1e-4
    assert (saved["progress"]["best"], saved["progress"]["batch"], saved["progress"]["step"]) == ({}, 0, 8)
    assert distill(changed, run)["f1"] == rows_of(run)[-1]["f1"]


def test_the_best_on_other_development_data_is_forgotten(toy, stopped, tmp_path, caplog):
    run = shutil.copytree(stopped, tmp_path / "run")
    with caplog.at_level("INFO", "distillex.training"):
        best = distill(student(toy, data__dev="train.jsonl"), run, resume_with_changes=True)
    assert "the best so far was picked on other development data" in caplog.text
    assert best["f1"] == rows_of(run)[-1]["f1"]


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"student__width": "32"}, r"checkpoint\.pt does not fit student\.width: .*size mismatch"),
        ({"data__minimum_count": "9"}, r"does not fit data\.minimum_count: its vocabulary, entity types or"),
        ({"table_learning_rate": "1e-3"}, r"does not fit table_learning_rate: .*parameter group"),
    ],
)
def test_a_change_that_the_weights_do_not_allow_is_refused_and_changes_nothing(
    toy, stopped, tmp_path, overrides, reason
):
    run = shutil.copytree(stopped, tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(RunDirectoryError, match=reason):
        distill(student(toy, **overrides), run, resume_with_changes=True)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_run_killed_while_its_teacher_labels_goes_on_and_others_share_the_labels(toy, toy_teacher, tmp_path):
    """Killed twice: while it labels, and while it trains; then another run takes the same labels."""
    (tmp_path / "raw.txt").write_text("".join(f"今天赵伟离开东方电子{i}！\n" for i in range(400)), encoding="utf-8")
    given = [
        *("--set", f"data.raw={tmp_path}/raw.txt", "--set", f"distillation.teacher={toy_teacher}"),
        *("--set", f"distillation.cache={tmp_path}/cache", "--set", "loop.epochs=2", "--set", "loop.steps=0"),
    ]
    command = [sys.executable, "-m", "distillex.command.main", "distill", str(toy / "student.yaml"), *given, "-o"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def killed_when(there):
        process = subprocess.Popen([*command, str(tmp_path / "run")], env=environment, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list(tmp_path.glob(there)):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()

    killed_when("cache/*/*.partial")
    assert read_run(tmp_path / "run").state == "started"
    killed_when("run/checkpoint.pt")
    whole = {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    for name in ("run", "other"):
        done = subprocess.run([*command, str(tmp_path / name)], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()} == whole
    one, other = (load_model(tmp_path / name / "best")[0].state_dict() for name in ("run", "other"))
    assert all(bool((one[name] == other[name]).all()) for name in one)


def test_runs_are_listed_shown_and_compared(toy, stopped, tmp_path):
    folder = tmp_path / "runs"
    shutil.copytree(stopped, folder / "one")
    other = shutil.copytree(stopped, folder / "other")
    distill(student(toy, learning_rate="1e-4"), other, resume_with_changes=True)
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text("{", encoding="utf-8")
    listed = run_command("runs", "list", folder)
    assert listed.exit_code == 0
    rows = {line.split("│")[1].strip(): line for line in listed.stdout.splitlines() if "│" in line}
    assert "stopped" in rows["one"]
    assert "finished" in rows["other"]
    assert "damaged" in rows["broken"]
    assert "run.json: not JSON" in listed.stdout
    assert "2 runs in" in listed.stdout
    with FileLock(folder / "one" / LOCK):
        assert "at work" in run_command("runs", "list", folder).stdout
    shown = run_command("runs", "show", other).stdout
    assert "learning_rate: 0.0001" in shown
    assert "with changes:" in shown
    assert "torch " in shown
    as_json = json.loads(run_command("runs", "show", other, "--json").stdout)
    assert as_json["metrics"] == rows_of(other)
    compared = run_command("runs", "compare", folder / "one", other).stdout
    assert re.search(r"learning_rate *│ 0\.01 *│ 0\.0001", compared)
    assert re.search(rf"best f1 *│ {rows_of(folder / 'one')[0]['f1']:.4f}", compared)
    refused = run_command("runs", "show", tmp_path)
    assert (refused.exit_code, "no run directory" in refused.stderr) == (2, True)


def test_runs_are_read_without_torch(stopped):
    program = (
        "import sys\nfrom distillex.command.main import application\n"
        "try:\n    application()\nfinally:\n    print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, "runs", "show", stopped], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False"
