"""What a run may not write: its inputs, devices, the output of another run. No server is needed to be refused."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time

import pytest
from batch_command import extract_command, run_extract
from distillex_client.cli import app
from typer.testing import CliRunner

NOWHERE = "127.0.0.1:1"
LINE = '{"text": "张伟在北京。"}\n{"text": null, "note": "precious"}\n'


@pytest.fixture
def folder(tmp_path):
    """A folder with an input and other names of it."""
    (tmp_path / "in.jsonl").write_text(LINE, encoding="utf-8")
    (tmp_path / "in.csv").write_text("text\n张伟\n", encoding="utf-8")
    (tmp_path / "soft.jsonl").symlink_to("in.jsonl")
    (tmp_path / "hard.jsonl").hardlink_to(tmp_path / "in.jsonl")
    (tmp_path / "there").symlink_to(".")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "in.jsonl").write_text(LINE, encoding="utf-8")
    (tmp_path / "words.tsv").write_text("青石云科\tcompany\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def refused(folder, monkeypatch):
    """Run the command where it is refused, in this process: returns what it says."""
    monkeypatch.chdir(folder)

    def run(*arguments):
        before = snapshot(folder)
        done = CliRunner().invoke(app, ["extract", "--url", NOWHERE, *arguments])
        assert done.exit_code == 2, done.output
        assert snapshot(folder) == before
        return done.output

    return run


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "arguments",
    [
        "in.jsonl -o in.jsonl",
        "in.csv -o ./in.csv",
        "in.jsonl -o there/in.jsonl",
        "in.jsonl -o soft.jsonl",
        "soft.jsonl -o in.jsonl",
        "in.jsonl -o hard.jsonl",
        "*.jsonl -o hard.jsonl --resume",
        "in.csv in.jsonl -o in.csv --resume",
        "in.jsonl -o out.jsonl --bad-records in.jsonl",
        "in.jsonl -o out.jsonl --bad-records hard.jsonl",
        "in.jsonl --bad-records soft.jsonl",
        "in.csv -o out.jsonl --lexicon words.tsv --bad-records words.tsv",
        "pages/in.jsonl -o pages -f html",
        "there/pages/in.jsonl -o pages/ -f html",
    ],
)
def test_an_output_that_is_an_input_is_refused_and_nothing_is_written(refused, arguments):
    assert "would be written and is an input" in refused(*arguments.split())


@pytest.mark.parametrize(
    "suffix", [".part", ".checkpoint", ".checkpoint.tmp", ".bad.jsonl", ".bad.jsonl.part", ".lock"]
)
def test_a_file_that_is_written_for_a_while_may_be_no_input_either(folder, refused, suffix):
    (folder / "in.jsonl").rename(folder / f"out.jsonl{suffix}")
    said = refused(f"out.jsonl{suffix}", "--input-format", "jsonl", "-o", "out.jsonl")
    assert f"out.jsonl{suffix} would be written and is an input" in said


def test_the_parts_of_a_parquet_output_may_hold_no_input(folder, refused):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    (folder / "pages").rename(folder / "out.parquet.parts")
    assert "is an input" in refused("out.parquet.parts/in.jsonl", "-o", "out.parquet")


def test_standard_input_and_output_are_files_too(folder):
    command = extract_command(NOWHERE, "-", "--input-format", "jsonl", "-o", "in.jsonl")
    with (folder / "in.jsonl").open("rb") as stream:
        done = subprocess.run(command, cwd=folder, stdin=stream, capture_output=True)
    assert done.returncode == 2
    assert b"in.jsonl would be written and is an input, -" in done.stderr
    with (folder / "in.jsonl").open("ab") as stream:
        done = subprocess.run(extract_command(NOWHERE, "in.jsonl"), cwd=folder, stdout=stream, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert b"standard output is written to a file that is an input, in.jsonl" in done.stderr
    assert (folder / "in.jsonl").read_text(encoding="utf-8") == LINE


def test_two_outputs_of_a_run_are_two_files(refused):
    for other in ("out.jsonl", "out.jsonl.part", "there/out.jsonl.checkpoint"):
        said = refused("in.jsonl", "-o", "out.jsonl", "--bad-records", other)
        assert "are the same file, and both would be written" in said


@pytest.mark.parametrize("name", ["/dev/null", "/dev/stderr", "/dev/fd/1", "pipe"])
def test_devices_and_pipes_are_not_replaced_by_files(folder, refused, name):
    os.mkfifo(folder / "pipe")
    for options in (("--format", "jsonl", "-o", name), ("--bad-records", name)):
        assert f"{name} is not a regular file" in refused("in.jsonl", *options)
    assert (folder / "pipe").is_fifo()


@pytest.mark.parametrize(
    "arguments",
    ["-o pages", "-o pages --bad-records bad.jsonl -f csv", "-o out.jsonl --bad-records pages", "-o pages -f parquet"],
)
def test_a_directory_is_found_in_the_way_at_the_start_and_not_at_the_end(refused, arguments):
    if "parquet" in arguments:
        pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    assert "pages is a directory, and a file would be written" in refused("in.csv", *arguments.split())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("none.jsonl", "none.jsonl: No such file or directory"),
        ("in.jsonl pages", "pages is a directory; 'pages/*' names the files in it"),
        ("in.html", "'.html' is not a known format; --input-format"),
        ("in.jsonl --encoding nothing", "'nothing' is not a text encoding"),
        ("- --input-format parquet", "Parquet cannot be read from standard input"),
        ("in.jsonl --types name,", "has no type or an empty one"),
        ("in.jsonl --output-encoding utf-8-sig -f jsonl", "--output-encoding is for CSV"),
        ("in.jsonl -o . -f html", "give the output a name of its own"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(folder, refused, arguments, reason):
    (folder / "in.html").write_text("x", encoding="utf-8")
    output = [] if "-o" in arguments.split() else ["-o", "new/out.csv"]
    assert reason in refused(*arguments.split(), *output)
    assert not (folder / "new").exists()


@pytest.fixture
def silent_server():
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_second_run_on_an_output_is_refused_and_a_killed_one_leaves_it_free(folder, silent_server):
    running = subprocess.Popen(extract_command(silent_server, "in.jsonl", "-o", "out.jsonl"), cwd=folder)
    try:
        deadline = time.monotonic() + 60
        while not (folder / "out.jsonl.checkpoint").exists():
            assert time.monotonic() < deadline
            assert running.poll() is None
            time.sleep(0.01)
        for other in (["-o", "out.jsonl"], ["-o", "there/out.jsonl", "--resume"]):
            second = run_extract(NOWHERE, "in.csv", *other, cwd=folder)
            assert second.returncode == 2
            assert f"another run is writing {other[1]}" in second.stderr.decode()
        side_file = ["-o", "other.jsonl", "--bad-records", "out.jsonl.bad.jsonl"]
        second = run_extract(NOWHERE, "in.csv", *side_file, cwd=folder)
        assert second.returncode == 2
        assert b"another run is writing out.jsonl.bad.jsonl" in second.stderr
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    third = run_extract(NOWHERE, "in.jsonl", "-o", "out.jsonl", "--retry-for", 0, cwd=folder)
    assert third.returncode == 3, third.stderr.decode()
    assert not list(folder.glob("*.lock"))


def test_what_others_write_to_a_closed_standard_error_does_not_get_into_a_file(folder):
    (folder / "bad.jsonl").write_text("no json\n" * 3, encoding="utf-8")
    noisy = (
        "import os; from distillex_client.batch.run import _Run; from distillex_client.cli import run\n"
        "write = _Run._write\n"
        "_Run._write = lambda *given: (os.write(1, b'noise'), os.write(2, b'noise'), write(*given))\n"
        "run()"
    )
    command = [sys.executable, "-c", noisy, "extract", "--progress", "none", "bad.jsonl", "-o", "out.jsonl"]
    done = subprocess.run(f"{shlex.join(command)} 0<&- 1>&- 2>&-", shell=True, cwd=folder)
    assert done.returncode == 1
    assert (folder / "out.jsonl").read_bytes() == b""
    assert b"noise" not in (folder / "out.jsonl.bad.jsonl").read_bytes()
