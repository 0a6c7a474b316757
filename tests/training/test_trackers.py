"""Runs that are followed in TensorBoard, by its own event files; one series, whatever is killed and goes on."""

import json
import subprocess
import sys

import pytest
from distillex.command.main import application
from distillex_training import preflight
from distillex_training.config import StudentRun, read_config
from distillex_training.distill import distill
from distillex_training.errors import ConfigError
from distillex_training.run_directory import FINISHED
from distillex_training.trackers import Trackers
from typer.testing import CliRunner

pytest.importorskip("tensorboard", reason="needs tensorboard: pip install 'distillex[tensorboard]'")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

pytestmark = pytest.mark.training

FOLLOWED = {"loop.trackers": "tensorboard", "loop.log_steps": "4", "loop.epochs": "3"}
"""Six steps an epoch: points at 4, 8, 12, 16."""


def student(toy, **overrides):
    return read_config(toy / "student.yaml", StudentRun, FOLLOWED | overrides)


def read_events(run):
    accumulator = EventAccumulator(str(run / "tensorboard"))
    accumulator.Reload()
    return accumulator


def series(run):
    events = read_events(run)
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def timeless(run):
    return {tag: values for tag, values in series(run).items() if not tag.endswith("_per_second")}


@pytest.fixture(scope="module")
def followed(toy, tmp_path_factory):
    run = tmp_path_factory.mktemp("followed") / "run"
    distill(student(toy, **{"data.test": "dev.jsonl"}), run)
    return run


def test_tensorboard_shows_loss_rates_speed_and_scores(followed):
    found = series(followed)
    assert set(found) == {
        *("train/loss", "train/epoch", "train/sentences_per_second", "learning_rate/0.01"),
        *("dev/f1", "dev/precision", "dev/recall", "test/f1", "test/precision", "test/recall"),
    }
    assert [step for step, _ in found["train/loss"]] == [4, 8, 12, 16]
    assert found["train/loss"][-1][1] < found["train/loss"][0][1]
    assert [value for _, value in found["train/epoch"]] == pytest.approx([4 / 6, 8 / 6, 2, 16 / 6])
    assert all(value > 0 for _, value in found["train/sentences_per_second"])
    rates = [value for _, value in found["learning_rate/0.01"]]
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < rates[0] <= 0.01
    rows = [json.loads(line) for line in (followed / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert found["dev/f1"] == [(row["step"], pytest.approx(row["f1"])) for row in rows]
    test = json.loads((followed / "test.json").read_text(encoding="utf-8"))
    assert found["test/f1"] == [(rows[-1]["step"], pytest.approx(test["f1"]))]


def test_the_configuration_is_the_run_s_hyper_parameters_beside_its_scores(followed):
    contents = read_events(followed).PluginTagToContent("hparams")
    read = {tag: HParamsPluginData.FromString(content) for tag, content in contents.items()}
    given = read["_hparams_/session_start_info"].session_start_info.hparams
    record = json.loads((followed / "run.json").read_text(encoding="utf-8"))
    assert set(given) == {key for key, value in record["settings"].items() if value is not None}
    assert given["loop.seed"].number_value == 1
    assert given["student.encoder"].string_value == "gated_cnn"
    assert record["settings"]["data.lexicon"]["sha256"][:12] in given["data.lexicon"].string_value
    metrics = read["_hparams_/experiment"].experiment.metric_infos
    assert [metric.name.tag for metric in metrics] == ["dev/f1"]
    # One run, not one more for the settings.
    assert [path.name for path in (followed / "tensorboard").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("stops", [[5], [6, 3, 4]])
def test_a_run_that_goes_on_tells_the_same_series(toy, followed, tmp_path, stops):
    run = student(toy, **{"data.test": "dev.jsonl"})
    for steps in stops:
        distill(run, tmp_path / "run", max_steps=steps)
    distill(run, tmp_path / "run")
    assert timeless(tmp_path / "run") == timeless(followed)


def test_points_after_the_checkpoint_of_a_killed_run_are_not_shown_twice(toy, followed, tmp_path):
    run = student(toy, **{"data.test": "dev.jsonl"})
    distill(run, tmp_path / "run", max_steps=7)
    with Trackers(("tensorboard",), tmp_path / "run") as killed:
        killed.begin(7, "f1")
        for step in (8, 12):
            killed.log_training({"loss": 99.0}, {0.01: 1.0}, step)
        killed.log_scores({"f1": 0.0}, 12)
    distill(run, tmp_path / "run")
    assert timeless(tmp_path / "run") == timeless(followed)


def test_a_finished_run_tells_nothing_more(toy, followed):
    before = sorted(path.name for path in (followed / "tensorboard").iterdir())
    distill(student(toy, **{"data.test": "dev.jsonl"}), followed)
    assert sorted(path.name for path in (followed / "tensorboard").iterdir()) == before
    assert (followed / FINISHED).exists()


def test_trackers_may_change_when_a_run_goes_on_and_change_nothing_of_it(toy, toy_student, tmp_path):
    silent = read_config(toy / "student.yaml", StudentRun)
    distill(silent, tmp_path / "run", max_steps=7)
    distill(read_config(toy / "student.yaml", StudentRun, {"loop.trackers": "tensorboard"}), tmp_path / "run")
    assert (tmp_path / "run" / "best" / "model.safetensors").read_bytes() == (
        toy_student / "model.safetensors"
    ).read_bytes()


def test_pretraining_tells_its_masked_accuracy(toy, tmp_path):
    from distillex_training.config import PretrainRun
    from distillex_training.pretrain import pretrain

    pytest.importorskip("transformers", reason="needs transformers")
    (tmp_path / "pretrain.yaml").write_text(
        f"raw: [{toy}/raw.txt]\nwhole_word: false\nminimum_count: 1\nsequence_length: 32\nheld_out: 6\n"
        "encoder: {model_type: bert, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2,"
        " intermediate_size: 8, max_position_embeddings: 64}\n"
        "loop: {steps: 6, batch_size: 4, log_steps: 3, trackers: tensorboard}\n",
        encoding="utf-8",
    )
    pretrain(read_config(tmp_path / "pretrain.yaml", PretrainRun), tmp_path / "run")
    found = series(tmp_path / "run")
    for tag in ("train/masked_accuracy", "train/tokens_per_second", "train/loss"):
        assert [step for step, _ in found[tag]] == [3, 6]
    assert {"learning_rate/0.0002", "learning_rate/0.001", "dev/masked_accuracy", "dev/loss"} < set(found)
    assert not any(tag.startswith("dev/") and tag.endswith("_per_second") for tag in found)


def test_a_missing_package_is_named_before_torch_is_imported(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wandb").mkdir()  # W&B leaves such a folder; it is no package
    code = (
        "import sys\nsys.modules.pop('wandb', None)\n"
        "import importlib.util\nfound = importlib.util.find_spec\n"
        "from distillex_training import preflight\n"
        "class Gone: origin = None\n"
        "preflight.find_spec = lambda name: Gone if name == 'wandb' else found(name)\n"
        "from distillex.command.main import application\n"
        "try: application(sys.argv[1:])\n"
        "finally: assert 'torch' not in sys.modules\n"
    )
    arguments = ["distill", str(toy / "student.yaml"), "-o", str(tmp_path / "run"), "--set", "loop.trackers=[wandb]"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 2
    assert "loop.trackers: wandb needs the package wandb, which is not installed: pip install 'distillex[wandb]'" in (
        done.stderr
    )
    assert not (tmp_path / "run").exists()


def test_a_library_s_caller_is_told_of_a_missing_package_too(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"loop\.trackers: tensorboard needs the package tensorboard"):
        distill(student(toy), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker_is_refused_with_those_that_are_known(toy, tmp_path):
    arguments = ["distill", str(toy / "student.yaml"), "-o", str(tmp_path / "run"), "--set", "loop.trackers=tensorbord"]
    result = CliRunner().invoke(application, arguments)
    assert result.exit_code == 2
    assert 'is "tensorbord"; one of tensorboard, wandb' in result.stderr
