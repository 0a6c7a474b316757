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


def test_an_input_is_not_written_over(data):
    folder, run, _ = data
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder.parent / "link").symlink_to(folder)
    for output in (folder, folder / "b.jsonl", folder.parent / "link"):
        done = run("convert", folder, "-o", output)
        assert done.exit_code == 2
        assert "is one of the files that are read" in done.stderr
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_cannot_be_written_is_told(data, tmp_path):
    folder, run, _ = data
    (tmp_path / "file").touch()
    done = run("convert", folder, "-o", tmp_path / "file" / "all.jsonl")
    assert done.exit_code == 2
    assert f"{tmp_path / 'file' / 'all.jsonl'}: " in done.stderr


def test_a_type_that_no_file_can_hold_is_refused(data):
    folder, run, out = data
    (folder / "c.jsonl").write_text('{"text": "赵伟", "label": [[0, 2, "\\ud800"]]}\n', encoding="utf-8")
    done = run("convert", folder, "-o", out / "all.jsonl")
    assert done.exit_code == 0, done.output
    assert "c.jsonl:1: '\\ud800' is no name of a type" in done.stderr


def test_no_command_writes_over_what_it_reads(data, tmp_path):
    folder, run, _ = data
    ours = tmp_path / "ours.jsonl"
    ours.write_text('{"text": "赵伟", "entities": []}\n', encoding="utf-8")
    brat = tmp_path / "brat"
    brat.mkdir()
    (brat / "1.txt").write_text("赵伟", encoding="utf-8")
    (brat / "1.ann").write_text("T1\tPER 0 2\t赵伟\n", encoding="utf-8")
    for arguments, lost in (
        (["export", brat, "--format", "columns", "-o"], brat / "1.txt"),
        (["export", brat / "1.txt", "--format", "columns", "-o"], brat / "1.ann"),
        (["export", ours, "--format", "columns", "--model", folder, "-o"], ours),
        (["select", ours, "--labelled", folder, "--model", folder, "-n", "1", "-o"], folder / "b.jsonl"),
        (["check", ours, "--json"], ours),
        (["stats", ours, "--json"], ours),
        (["close", ours, "-o"], ours),
    ):
        before = lost.read_bytes()
        done = run(*arguments, lost)
        assert done.exit_code == 2, arguments
        assert f"{lost} is one of the files that are read" in done.stderr, arguments
        assert lost.read_bytes() == before
    again = ["export", ours, "--format", "label-studio", "-o", tmp_path / "tasks.json"]
    assert [run(*again).exit_code for _ in range(2)] == [0, 0]


def test_a_file_in_another_encoding_is_refused_or_converted(data):
    folder, run, out = data
    (folder / "b.jsonl").unlink()
    (folder / "a.txt").write_bytes("赵 B-PER\n伟 I-PER\n".encode("gb18030"))
    done = run("convert", folder, "-o", out)
    assert done.exit_code == 2
    assert "it could be gb18030: --encoding gb18030" in done.stderr
    assert not out.exists()
    assert run("convert", folder, "-o", out, "--encoding", "gb18030").exit_code == 0
    assert json.loads((out / "a.jsonl").read_text(encoding="utf-8"))["text"] == "赵伟"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"text": "赵伟", "label": {"PER": {"赵伟": [[0, 1]]}}}', "'distillex data convert' makes a training file"),
        ('{"text": "赵伟", "labels": [[0, 2, "PER"]]}', "'distillex data convert' makes a training file"),
        ('{"text": "赵伟"}', 'no "entities": a text without any has []'),
        ("赵 B-PER", "not JSON"),
        ("", ""),
    ],
    ids=["cluener", "doccano", "text", "columns", "empty"],
)
def test_check_and_stats_refuse_what_is_no_training_file(data, content, reason):
    folder, run, _ = data
    (folder / "c.jsonl").write_text(content + "\n", encoding="utf-8")
    for command in ("check", "stats"):
        done = run(command, folder / "c.jsonl")
        assert done.exit_code != 0
        assert reason in done.output
        assert "c.jsonl" in done.output


def test_a_file_in_which_nothing_is_labelled_is_an_error(data):
    folder, run, _ = data
    (folder / "c.jsonl").write_text('{"text": "赵伟", "entities": []}\n' * 3, encoding="utf-8")
    done = run("check", folder / "c.jsonl")
    assert done.exit_code == 1
    assert "ERROR no-entity: 1" in done.stdout
    assert "no entity in 3 sentences" in done.stdout
