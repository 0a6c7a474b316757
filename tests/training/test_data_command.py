"""``distillex data`` as a user calls it."""

import json

import pytest
from distillex_training.data_cli import app
from typer.testing import CliRunner

COLUMNS = "赵 B-PER\n伟 I-PER\n来 O\n\n坏 I-PER\n\n"


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "labelled"
    folder.mkdir()
    (folder / "a.txt").write_text(COLUMNS.replace("坏", "好 B-PER\n坏"), encoding="utf-8")
    records = [{"text": f"第{i}句赵伟", "label": [[len(f"第{i}句"), len(f"第{i}句") + 2, "PER"]]} for i in range(60)]
    (folder / "b.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n{\n", encoding="utf-8")

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return folder, run, tmp_path / "out"


def test_a_folder_of_several_formats_becomes_a_training_and_a_development_file(data):
    folder, run, out = data
    done = run("convert", folder, "-o", out, "--dev", "0.2")
    assert done.exit_code == 0, done.output
    assert "62 records taken, 1 left out" in done.stdout
    assert f"{folder / 'b.jsonl'}:61: not JSON" in done.stderr
    lines = [(out / f"{name}.jsonl").read_text(encoding="utf-8").splitlines() for name in ("train", "dev")]
    assert sum(map(len, lines)) == 62
    assert all(lines)
    assert {"text": "赵伟来", "entities": [{"start": 0, "end": 2, "type": "PER"}]} in map(
        json.loads, [*lines[0], *lines[1]]
    )


def test_without_a_share_each_file_keeps_its_name(data):
    folder, run, out = data
    assert run("convert", folder, "-o", out).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["a.jsonl", "b.jsonl"]
    assert run("convert", folder, "-o", out / "all.jsonl").exit_code == 0
    assert len((out / "all.jsonl").read_text(encoding="utf-8").splitlines()) == 62


def test_strict_writes_nothing_where_a_record_is_bad(data):
    folder, run, out = data
    done = run("convert", folder, "-o", out, "--strict")
    assert done.exit_code == 1
    assert not out.exists()
    assert "1 records are bad" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("convert", "nothing", "-o", "out"), "nothing: no such file or folder"),
        (("check", "nothing"), "nothing: No such file"),
        (("stats", "nothing"), "nothing: No such file"),
    ],
)
def test_a_missing_file_is_named(data, arguments, message):
    done = data[1](*arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_the_exit_code_of_check_tells_errors_from_warnings(data, tmp_path):
    _, run, _ = data
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "甲 乙", "entities": [{"start": 0, "end": 2, "type": "PER"}]}\n', encoding="utf-8")
    done = run("check", path)
    assert done.exit_code == 0
    assert "warning white-space: 1" in done.stdout
    assert run("check", path, "--strict").exit_code == 1
    done = run("check", path, path, "--json", tmp_path / "found.json")
    assert done.exit_code == 1
    assert "ERROR leak: 1" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert {each["kind"] for each in found} >= {"leak", "white-space"}


def test_stats_show_the_unseen_share(data, tmp_path):
    folder, run, out = data
    run("convert", folder, "-o", out, "--dev", "0.2")
    done = run("stats", out / "train.jsonl", out / "dev.jsonl", "--json", tmp_path / "stats.json")
    assert done.exit_code == 0
    train, dev = json.loads((tmp_path / "stats.json").read_text(encoding="utf-8"))
    assert train["sentences"] + dev["sentences"] == 62
    assert train["unseen"] is None
    assert dev["unseen"] in (0, 1)
