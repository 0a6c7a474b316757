"""Settings that make no sense are refused before the first work, by name."""

import dataclasses
import typing
from pathlib import Path

import pytest
from distillex.command.main import application
from distillex_training.accepted import ACCEPTED, Checked
from distillex_training.config import ConfigError, PretrainRun, StudentRun, TeacherRun, read_config
from distillex_training.models import StudentConfig, TeacherConfig
from typer.testing import CliRunner

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "training" / "configs").glob("*.yaml"))
STUDENT = [
    *("loop.gradient_clip=0", "loop.gradient_clip=-1", "learning_rate=0", "learning_rate=.nan", "learning_rate=.inf"),
    *("table_learning_rate=-1", "crf_learning_rate=0", "loop.warm_up=1.5", "loop.warm_up=-0.1", "loop.weight_decay=-1"),
    *("distillation.gold_repeats=-1", "distillation.best_paths=-1", "distillation.hidden=-1"),
    *("distillation.minimum_confidence=1.5", "student.character_dropout=1", "student.dropout=1.5", "student.head=0"),
    *("student.character_embedding=0", "student.dilations=[]", "student.dilations=[0]", "student.width=0"),
    *("student.width=-3", "student.bigram_hash_size=0", "student.encoder=foo", "augmentation.wrong_spans=[-1]"),
    *("augmentation.gold_probabilities=[]", "loop.seed=-1", "data.raw_limit=-1", "data.minimum_count=0"),
]


@pytest.mark.parametrize("setting", STUDENT)
def test_a_students_setting_that_makes_no_sense_is_refused_in_one_line(toy, tmp_path, setting):
    arguments = ["distill", str(toy / "student.yaml"), "-o", str(tmp_path / "run"), "--set", setting]
    result = CliRunner().invoke(application, arguments)
    name = setting.split("=")[0].split(".")[-1]
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert f" {name} is " in result.stderr
    assert " is accepted" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_transformer_whose_width_has_no_heads_is_refused(toy):
    with pytest.raises(ConfigError, match="width is 30; with a transformer a multiple of 4 is accepted"):
        read_config(toy / "student.yaml", StudentRun, {"student.encoder": "transformer", "student.width": "30"})


def dataclasses_of(kind):
    yield kind
    for hint in typing.get_type_hints(kind).values():
        if dataclasses.is_dataclass(hint):
            yield from dataclasses_of(hint)


def says_what_is_accepted(hint):
    if any(isinstance(each, ACCEPTED) for each in getattr(hint, "__metadata__", ())):
        return True
    return any(says_what_is_accepted(each) for each in typing.get_args(hint))


def is_numeric(hint):
    return hint in (int, float) or any(is_numeric(each) for each in typing.get_args(hint))


@pytest.mark.parametrize("root", [StudentRun, TeacherRun, PretrainRun, StudentConfig, TeacherConfig])
def test_every_number_says_what_it_accepts(root):
    for kind in dataclasses_of(root):
        plain, full = typing.get_type_hints(kind), typing.get_type_hints(kind, include_extras=True)
        numbers = [name for name, hint in plain.items() if is_numeric(hint)]
        assert [name for name in numbers if not says_what_is_accepted(full[name])] == []
        assert issubclass(kind, Checked) or not numbers


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_committed_configurations_are_accepted(path):
    kinds = {"pretrain": PretrainRun, "teacher": TeacherRun}
    read_config(path, kinds.get(path.stem.split("-")[0], StudentRun))
