"""``distillex init`` writes configurations for one's own files that train as they are."""

import json
from pathlib import Path

import pytest
import yaml
from conftest import toy_sentences, write_jsonl
from distillex.command.main import application
from distillex_training.config import StudentRun, TeacherRun, read_config
from distillex_training.preflight import check_run
from typer.testing import CliRunner


def run_init(*arguments):
    return CliRunner().invoke(application, ["init", *map(str, arguments)])


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A working folder with a labelled and a raw file."""
    monkeypatch.chdir(tmp_path)
    sentences = {record["text"]: record for record in toy_sentences(400, 1)}
    write_jsonl(tmp_path / "my.jsonl", sentences.values())
    (tmp_path / "raw.txt").write_text("".join(r["text"] + "\n" for r in toy_sentences(60, 3)), encoding="utf-8")
    return tmp_path


def test_what_it_writes_is_accepted_and_has_the_types_of_the_file(own, toy_encoder):
    result = run_init("shop", "--train", "my.jsonl", "--raw", "raw.txt", "--encoder", toy_encoder)
    assert result.exit_code == 0, result.output
    student = read_config(Path("shop/student.yaml"), StudentRun, {"distillation.teacher": "null"})
    assert student.data.types == ("company", "name")
    assert student.data.raw[0].samefile(own / "raw.txt")
    check_run(student)
    teacher = read_config(Path("shop/teacher.yaml"), TeacherRun)
    assert teacher.encoder == str(toy_encoder)
    check_run(teacher)
    texts = [
        {json.loads(line)["text"] for line in (own / "shop" / name).read_text(encoding="utf-8").splitlines()}
        for name in ("train.jsonl", "dev.jsonl")
    ]
    assert not texts[0] & texts[1]
    assert len(texts[0] | texts[1]) == len((own / "my.jsonl").read_text(encoding="utf-8").splitlines())
    steps = [line.strip() for line in result.stdout.splitlines() if line.strip().startswith("distillex ")]
    assert [line.split()[1] for line in steps] == ["finetune", "distill", "export", "serve"]
    comment = (own / "shop" / "student.yaml").read_text(encoding="utf-8")
    assert all(f"#   {line}" in comment for line in steps)


def test_without_raw_text_there_is_no_teacher(own):
    result = run_init("shop", "--train", "my.jsonl")
    assert result.exit_code == 0, result.output
    assert not (own / "shop" / "teacher.yaml").exists()
    run = read_config(Path("shop/student.yaml"), StudentRun)
    assert run.distillation.teacher is None
    check_run(run)


def test_a_type_that_yaml_reads_as_something_else_stays_a_text(own):
    lines = (own / "my.jsonl").read_text(encoding="utf-8").replace('"company"', '"NO"').replace('"name"', '"1:2"')
    (own / "my.jsonl").write_text(lines, encoding="utf-8")
    assert run_init("shop", "--train", "my.jsonl").exit_code == 0
    assert yaml.safe_load((own / "shop/student.yaml").read_text(encoding="utf-8"))["data"]["types"] == ["1:2", "NO"]


def test_nothing_is_written_over_and_first_mistakes_are_answered(own):
    assert run_init("shop", "--train", "my.jsonl").exit_code == 0
    again = run_init("shop", "--train", "my.jsonl")
    assert (again.exit_code, "would be lost: give another name, or --force" in again.stderr) == (2, True)
    assert run_init("shop", "--train", "my.jsonl", "--force").exit_code == 0
    (own / "plain.jsonl").write_text('{"text": "昨天", "entities": []}\n', encoding="utf-8")
    for arguments, said in (
        (("a", "--train", "nowhere.jsonl"), "nowhere.jsonl: no such file"),
        (("a", "--train", "plain.jsonl"), "no entity is labelled in it"),
        (("a", "--train", "my.jsonl", "--raw", "nowhere.txt"), "nowhere.txt: No such file"),
        (("..", "--train", "my.jsonl"), "is no name"),
    ):
        refused = run_init(*arguments)
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
        assert said in refused.stderr
        assert not (own / "a").exists()
