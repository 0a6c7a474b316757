"""Settings that make no sense are refused before the first work, by name, in one sentence."""

import dataclasses
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import yaml
from distillex.command.main import application
from distillex_matcher.exported import NETWORK_FILE, WEIGHTS_FILE
from distillex_training.config import (
    PretrainRun,
    StudentConfig,
    StudentRun,
    TeacherConfig,
    TeacherRun,
    read_config,
    values,
)
from distillex_training.config.losses import LOSSES
from distillex_training.config.messages import RENAMED, accepted, keys, schema_of
from distillex_training.errors import ConfigError
from distillex_training.preflight import check_run
from typer.testing import CliRunner

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "training" / "configs").glob("*.yaml"))
KINDS = {"pretrain": PretrainRun, "teacher": TeacherRun}
STUDENT = [
    *("loop.gradient_clip=0", "loop.gradient_clip=-1", "learning_rate=0", "learning_rate=.nan", "learning_rate=.inf"),
    *("table_learning_rate=-1", "crf_learning_rate=0", "loop.warm_up=1.5", "loop.warm_up=-0.1", "loop.weight_decay=-1"),
    *("distillation.gold_repeats=-1", "distillation.losses.k_best=-1", "distillation.losses.hidden_mse=.nan"),
    *("distillation.minimum_confidence=1.5", "student.character_dropout=1", "student.dropout=3", "student.head=0"),
    *("student.character_embedding=0", "student.dilations=[]", "student.dilations=[0]", "student.width=0"),
    *("student.width=-3", "student.bigram_hash_size=0", "student.encoder=lstm", "augmentation.wrong_spans=[-1]"),
    *("augmentation.gold_probabilities=[]", "loop.seed=-1", "data.raw_limit=-1", "data.minimum_count=0"),
    *("distillation.labels=[{path: train.jsonl, threshold: 2}]", "distillation.labels=[3]"),
    *("loop.epochs=-1", "loop.epochs=2.5", "loop.epochs=true", "loop.fused=1", "data.train=null", "data=3"),
]


def run_command(*arguments):
    return CliRunner().invoke(application, [str(each) for each in arguments])


@pytest.mark.parametrize("setting", STUDENT)
def test_a_students_setting_that_makes_no_sense_is_refused_in_one_line(toy, tmp_path, setting):
    result = run_command("distill", toy / "student.yaml", "-o", tmp_path / "run", "--set", setting)
    name = setting.split("=")[0]
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert f"student.yaml with --set {setting}: {name}" in result.stderr
    assert " is accepted" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("loop.epoch=3", "unknown key 'loop.epoch'; did you mean 'loop.epochs'?"),
        ("epochs=3", "unknown key 'epochs'; did you mean 'loop.epochs'?"),
        ("distillation.losses.vitebi=1", "unknown loss 'vitebi'; did you mean 'viterbi'?"),
        ("data.train.x=1", 'data.train is "train.jsonl", which has no keys'),
        ("data.raw=[a", "'[a' is not YAML"),
        ("data.train=nowhere.jsonl", "data.train.0.path: nowhere.jsonl: no such file"),
        ("data.dev=trian.jsonl", "toy0/train.jsonl?"),
        ("data.types=[company, nmae]", "the label 'name' (96 of 96 sentences) is unknown; did you mean 'nmae'?"),
        ("init_from=nowhere", "init_from: nowhere: no such folder"),
        ("init_from=student.yaml", "is a file; a model directory is accepted"),
        ("distillation.gold_repeats=0", "gold_repeats is 0 and teacher names none: there is nothing to learn from"),
        ("data.raw=train.json", "data.raw: train.json: no such file"),
        ("data.lexicon=dev.jsonl", "dev.jsonl"),
        ("data.mentions=[{type: nmae, words: [raw.txt]}]", "did you mean 'name'? one of company, name is accepted"),
        ("distillation.labels=trian.jsonl", "distillation.labels.0.path: trian.jsonl: no such file"),
        ("distillation.labels=raw.txt", "raw.txt:1: not JSON"),
        ("distillation.labels=[{path: train.jsonl, types: [nmae]}]", "'nmae' is no type of the model or of the file"),
        ("data={dev: dev.jsonl}", "the key 'data.train' is missing; it may be absent beside distillation.labels"),
        ("everyday.slots=[{name: shop, type: shop, words: [raw.txt]}]", "has the type 'shop'; accepted: company, name"),
    ],
)
def test_a_first_mistake_is_answered_in_one_line_before_torch_is_imported(toy, tmp_path, setting, said):
    result = run_command("distill", toy / "student.yaml", "-o", tmp_path / "run", "--set", setting)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert said in result.stderr
    assert not (tmp_path / "run").exists()


def test_the_answer_needs_no_torch(toy, tmp_path):
    program = (
        "import sys\n"
        "from distillex.command.main import application\n"
        "try:\n    application()\n"
        "finally:\n    print([name for name in ('torch', 'transformers', 'accelerate') if name in sys.modules])\n"
    )
    for setting in ("data.types=[company, nmae]", "loop.epochs=-1", "data.train=nowhere"):
        arguments = ["distill", str(toy / "student.yaml"), "-o", str(tmp_path / "run"), "--set", setting]
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "[]\n"), done.stderr


def test_a_teacher_needs_raw_text_to_label(toy, toy_teacher, tmp_path):
    result = run_command(
        *("distill", toy / "student.yaml", "-o", tmp_path / "run", "--set", f"distillation.teacher={toy_teacher}")
    )
    assert result.exit_code == 2
    assert "distillation.teacher labels the raw text, but data.raw names none" in result.stderr


def test_a_teacher_that_does_not_fit_and_a_model_of_the_other_kind_are_refused_first(
    toy, toy_teacher, toy_student, other_types, tmp_path
):
    given = [f"--set={key}={value}" for key, value in other_types.items()]
    taught = ["--set", f"data.raw={toy}/raw.txt", "--set", f"distillation.teacher={toy_teacher}"]
    by_label = [*given, *taught, "--set", "distillation.losses.logit_kl=1"]
    result = run_command("distill", toy / "student.yaml", "-o", tmp_path / "run", *by_label)
    assert "distillation.losses.logit_kl is 1.0: it compares label by label, and the teacher" in result.stderr
    for path in other_types.values():
        lines = Path(path).read_text(encoding="utf-8")
        Path(path).write_text(lines.replace('"company"', '"firm"'), encoding="utf-8")
    result = run_command("distill", toy / "student.yaml", "-o", tmp_path / "run", *given, *taught)
    assert "labels company, name; none is a type of the student, firm, person" in result.stderr
    result = run_command(
        *("distill", toy / "student.yaml", "-o", tmp_path / "run", "--set", f"init_from={toy_teacher}")
    )
    assert f"init_from: {toy_teacher} is not a student, but a teacher" in result.stderr
    large = ["--set", "distillation.start_from_teacher=true", "--set", "student.character_embedding=999"]
    result = run_command("distill", toy / "student.yaml", "-o", tmp_path / "run", *taught, *large)
    assert "student.character_embedding is 999; the teacher's has 16 dimensions" in result.stderr


def test_what_is_right_without_a_training_file_or_with_a_teacher_of_other_types_passes(toy, toy_teacher, other_types):
    taught = {"distillation.teacher": str(toy_teacher), "data.raw": str(toy / "raw.txt")}
    labels = {"distillation.labels": "train.jsonl"}
    nobody = {"data.train": "[]", "data.dev": "[]"}
    for given in (taught | other_types, taught | nobody, labels | nobody, labels | {"data.train": "[]"}, labels):
        check_run(read_config(toy / "student.yaml", StudentRun, given), toy)
    strange = labels | {"data.train": "[]", "data.dev": other_types["data.dev"]}
    with pytest.raises(ConfigError, match=r"the label 'person' .* is unknown; those that teach have company, name"):
        check_run(read_config(toy / "student.yaml", StudentRun, strange), toy)


def test_a_teacher_needs_a_loss_where_nothing_else_teaches(toy, toy_teacher):
    alone = {"data.train": "[]", "data.dev": "[]", "data.raw": "raw.txt", "distillation.losses": "{}"}
    with pytest.raises(ConfigError, match=r"data\.train names no file and no loss is on \(viterbi, .*nothing to learn"):
        read_config(toy / "student.yaml", StudentRun, alone | {"distillation.teacher": str(toy_teacher)})
    labels = alone | {"distillation.labels": "train.jsonl", "distillation.gold_repeats": "0"}
    assert read_config(toy / "student.yaml", StudentRun, labels).distillation.labels[0].path == toy / "train.jsonl"


def test_an_encoder_that_can_only_be_a_folder_has_to_be_there(teacher_configuration, toy_encoder, tmp_path):
    def said(encoder):
        result = run_command(
            *("finetune", teacher_configuration, "-o", tmp_path / "run", "--set", f"encoder={encoder}")
        )
        assert result.exit_code == 2
        return result.stderr

    assert f"did you mean {toy_encoder}?" in said(f"{toy_encoder}s")
    (tmp_path / "empty").mkdir()
    assert "holds no config.json" in said(tmp_path / "empty")
    assert "is a file; a folder, or a name" in said(teacher_configuration)


def test_every_fault_of_a_file_is_named_at_once(toy, tmp_path):
    text = (toy / "student.yaml").read_text(encoding="utf-8")
    path = tmp_path / "student.yaml"
    path.write_text(
        text.replace("epochs: 4", "epochs: 0").replace("learning_rate: 1e-2", "learning_rat: 1"), encoding="utf-8"
    )
    with pytest.raises(ConfigError) as raised:
        read_config(path, StudentRun)
    of_the_file = [
        "  loop.epochs is 0; at least 1 is accepted",
        "  unknown key 'learning_rat'; did you mean 'learning_rate'? accepted keys: "
        + ", ".join(each.name for each in dataclasses.fields(StudentRun)),
    ]
    assert str(raised.value).splitlines() == [f"{path}: 2 mistakes", *of_the_file]
    with pytest.raises(ConfigError) as raised:
        read_config(path, StudentRun, {"initial": "x", "student.width": "0", "data.raw": "[a"})
    assert str(raised.value).splitlines() == [
        f"{path}: 5 mistakes",
        "  --set initial=x: 'initial' is called 'init_from' now",
        "  --set data.raw=[a: '[a' is not YAML: expected ',' or ']', but got '<stream end>'",
        "  --set student.width=0: student.width is 0; at least 1 is accepted",
        *of_the_file,
    ]


def test_all_that_a_run_names_and_that_is_not_there_is_said_at_once(toy, tmp_path):
    (tmp_path / "empty.txt").write_text("", encoding="utf-8")
    settings = ("data.train=nowhere.jsonl", f"data.raw=[{tmp_path / 'empty.txt'}]", "init_from=nowhere")
    asked = [part for each in settings for part in ("--set", each)]
    result = run_command("distill", toy / "student.yaml", "-o", tmp_path / "run", *asked)
    assert result.exit_code == 2
    first, *mistakes = result.stderr.splitlines()
    assert first == f"distillex training: {toy / 'student.yaml'}: 3 mistakes"
    for said in ("  data.train.0.path: nowhere.jsonl: no such", "  init_from: nowhere: no such", "  data.raw: "):
        assert sum(each.startswith(said) for each in mistakes) == 1
    assert len(mistakes) == 3


@pytest.mark.parametrize("content", ["", "- a", "3", "a: [", "&a [*a]", "[" * 5000, "? [a]\n: 1", "\0"])
def test_what_is_no_configuration_is_refused(tmp_path, content):
    path = tmp_path / "a.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a\.yaml"):
        read_config(path, StudentRun)


def test_a_number_in_a_key_is_a_place_in_a_list(toy):
    two = {"data.dev": "[dev.jsonl, {path: train.jsonl}]", "data.dev.1.path": "dev.jsonl"}
    run = read_config(toy / "student.yaml", StudentRun, two)
    assert [each.path for each in run.data.dev] == [toy / "dev.jsonl"] * 2
    with pytest.raises(ConfigError, match=r"data\.dev is a list; its places are data\.dev\.0 to data\.dev\.1"):
        read_config(toy / "student.yaml", StudentRun, two | {"data.dev.2.path": "dev.jsonl"})


def test_numbers_are_those_of_yaml_1_2(toy):
    run = read_config(toy / "student.yaml", StudentRun, {"learning_rate": "2e-3", "table_learning_rate": "1E+1"})
    assert (run.learning_rate, run.table_learning_rate) == (0.002, 10.0)


def test_a_transformer_whose_width_has_no_heads_is_refused(toy):
    with pytest.raises(ConfigError, match="student: width is 30; with a transformer a multiple of 4 is accepted"):
        read_config(toy / "student.yaml", StudentRun, {"student.encoder": "transformer", "student.width": "30"})


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_key_of_an_earlier_version_is_answered_with_its_present_name(toy, tmp_path, old, new):
    with pytest.raises(ConfigError, match=f"'{old}' is called '{new}' now"):
        read_config(toy / "student.yaml", StudentRun, {old: "1.0"})
    content = yaml.safe_load((toy / "student.yaml").read_text(encoding="utf-8"))
    section, _, key = old.rpartition(".")
    (content.setdefault(section, {}) if section else content)[key] = 1.0
    (toy / "old.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"'{old}' is called '{new}' now"):
        read_config(toy / "old.yaml", StudentRun)
    of_losses = {f"distillation.losses.{name}" for name in LOSSES}
    assert new in of_losses | set(keys(schema_of(StudentRun)))


def test_every_loss_has_a_function():
    assert [loss.resolve().__name__ for loss in LOSSES.values()] == list(LOSSES)


def test_a_loss_that_is_not_named_is_off(toy):
    assert read_config(toy / "student.yaml", StudentRun).distillation.switched_on == ("k_best",)
    run = read_config(toy / "student.yaml", StudentRun, {"distillation.losses.token_kl": "0.5"})
    assert run.distillation.switched_on == ("token_kl",)


@pytest.mark.parametrize("root", [StudentRun, TeacherRun, PretrainRun, StudentConfig, TeacherConfig])
def test_every_setting_says_what_it_accepts_and_none_takes_another_type_in_silence(root):
    schema = schema_of(root)
    assert "another value" not in accepted(schema, schema)

    def loose(kind, prefix=""):
        for name, hint in typing.get_type_hints(kind, include_extras=True).items():
            if hint in (int, float, bool):
                yield prefix + name
            elif dataclasses.is_dataclass(hint):
                yield from loose(hint, f"{prefix}{name}.")

    assert list(loose(root)) == []
    assert len(list(keys(schema))) >= len(dataclasses.fields(root))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_committed_configurations_are_accepted(path):
    read_config(path, KINDS.get(path.stem.split("-")[0], StudentRun))


def test_a_configuration_that_comes_with_distillex_is_found_by_its_name(tmp_path, monkeypatch):
    from distillex_training.config.shipped import find_config

    monkeypatch.chdir(tmp_path)
    assert find_config(Path("student-own-data")).samefile(find_config(Path("student-own-data.yaml")))
    with pytest.raises(ConfigError, match=r"student-own-dat: no such file; did you mean student-own-data\?"):
        find_config(Path("student-own-dat"))
    (tmp_path / "mine.yaml").touch()
    with pytest.raises(ConfigError, match=r"mime\.yaml: no such file; did you mean mine\.yaml\?"):
        find_config(Path("mime.yaml"))


def test_the_base_lexicon_is_found_from_any_folder(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (toy / "student.yaml").read_text(encoding="utf-8").replace("lexicon: base.lex, ", "")
    (toy / "without.yaml").write_text(text, encoding="utf-8")
    lexicon = read_config(toy / "without.yaml", StudentRun).data.lexicon
    assert lexicon.is_absolute()
    assert lexicon.stat().st_size > 1_000_000


def test_a_shipped_model_is_found_from_another_folder(toy, tmp_path, monkeypatch):
    """Where its weights lie: an installed package has exported students alone."""
    shipped, working = tmp_path / "shipped", tmp_path / "working"
    for name, file in {"student-trained": WEIGHTS_FILE, "student-exported": NETWORK_FILE}.items():
        (shipped / name).mkdir(parents=True)
        (shipped / name / file).touch()
    working.mkdir()
    monkeypatch.chdir(working)
    monkeypatch.setattr(values, "shipped_models", lambda: shipped)

    def init_from(name: str) -> Path:
        return read_config(toy / "student.yaml", StudentRun, {"init_from": f"models/{name}"}).init_from

    assert init_from("student-trained") == shipped / "student-trained"
    assert init_from("student-exported") == Path("models/student-exported")
    (working / "models" / "student-trained").mkdir(parents=True)
    assert init_from("student-trained") == Path("models/student-trained")


def test_a_shipped_encoder_is_found_from_another_folder(teacher_configuration, tmp_path, monkeypatch):
    (tmp_path / "shipped" / "encoder-news").mkdir(parents=True)
    (tmp_path / "shipped" / "encoder-news" / WEIGHTS_FILE).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(values, "shipped_models", lambda: tmp_path / "shipped")

    def encoder(name: str) -> str:
        return read_config(teacher_configuration, TeacherRun, {"encoder": name}).encoder

    assert encoder("models/encoder-news") == str(tmp_path / "shipped" / "encoder-news")
    assert encoder("models/encoder-of-mine") == "models/encoder-of-mine"
    assert encoder("bert-base-chinese") == "bert-base-chinese"
    (tmp_path / "models" / "encoder-news").mkdir(parents=True)
    assert encoder("models/encoder-news") == "models/encoder-news"
    (teacher_configuration.parent / "mine").mkdir()
    assert encoder("mine") == str(teacher_configuration.parent / "mine")
