"""A disk that is full: the run stops with a sentence, and goes on when there is room."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from batch_command import COMMAND, run_extract, write_records

pytest.importorskip("tritonclient.grpc")
pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")

pytestmark = pytest.mark.server

RECORDS = 4000


def run_with_room_for(size_bytes, folder, *arguments, part_rows=8192):
    """Run the command where no file may grow further: as on a full disk, writing fails in the middle of a file.

    A checkpoint is made after each chunk, so that how far a run comes does not depend on how fast it is.
    """
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size_bytes}, {size_bytes}))\n"
        "from distillex_client.batch import parquet, run as batch_run\n"
        f"batch_run.CHECKPOINT_EVERY_S = 0.0; parquet.PART_ROWS = {part_rows}\n"
        "from distillex_client.cli import run; run()"
    )
    command = [sys.executable, "-c", code, "extract", "--progress", "none", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def folder(server, tmp_path_factory):
    """Records, one in four of them bad."""
    folder = tmp_path_factory.mktemp("full")
    records = write_records(folder / "good.jsonl", RECORDS)
    lines = [json.dumps(each) if number % 4 else "no json" for number, each in enumerate(records)]
    (folder / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "bad.jsonl").write_text("no json\n" * RECORDS, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("source", "name", "full"),
    [
        ("in.jsonl", "whole.jsonl", "whole.jsonl"),
        ("in.jsonl", "whole.csv", "whole.csv"),
        ("bad.jsonl", "bad-whole.jsonl", "bad-whole.jsonl.bad.jsonl"),
    ],
)
def test_a_run_that_finds_the_disk_full_is_resumed_to_the_same_bytes(server, folder, tmp_path, source, name, full):
    address = ("--url", server.grpc_url)
    assert run_extract(server.grpc_url, source, "-o", name, cwd=folder).returncode == 1
    shutil.copy(folder / source, tmp_path)
    stopped = run_with_room_for((folder / full).stat().st_size // 2, tmp_path, *address, source, "-o", name)
    assert stopped.returncode == 3
    *_, told, advice = stopped.stderr.decode().splitlines()
    match = re.fullmatch(
        rf"distillex-client: cannot write {full} after ([\d,]+) records: File too large; "
        r"([\d,]+) of them are safe; allow larger files \(ulimit -f\)",
        told,
    )
    reached, safe = (int(each.replace(",", "")) for each in match.groups())
    assert 0 < safe <= reached < RECORDS
    assert advice == "distillex-client: the same command with --resume continues"
    assert not list(tmp_path.glob("*.tmp")) + list(tmp_path.glob("*.lock"))
    resumed = run_extract(server.grpc_url, source, "-o", name, "--resume", cwd=tmp_path)
    assert resumed.returncode == 1
    assert f"{safe:,} done before" in resumed.stderr.decode()
    for file in (name, f"{name}.bad.jsonl"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "pages"])
def test_a_disk_that_is_full_from_the_start_leaves_what_can_be_resumed(server, folder, tmp_path, name):
    lines = (folder / "in.jsonl").read_text(encoding="utf-8").splitlines()[:400]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = ("in.jsonl", "-o", name, *(["--format", "html"] if name == "pages" else []))
    for room in (100, 1000):
        stopped = run_with_room_for(room, tmp_path, "--url", server.grpc_url, *options, "--resume")
        assert stopped.returncode == 3, stopped.stderr.decode()
        assert b"File too large" in stopped.stderr
        assert b"Traceback" not in stopped.stderr
    assert run_extract(server.grpc_url, *options, "--resume", cwd=tmp_path).returncode == 1
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", name, f"{name}.bad.jsonl"}
    if name == "pages":
        assert len(list((tmp_path / name).iterdir())) == 300


def test_bad_records_that_find_no_room_are_not_lost_in_silence_beside_standard_output_either(server, folder, tmp_path):
    (tmp_path / "in.jsonl").write_text("no json\n" * 20, encoding="utf-8")
    options = ("--url", server.grpc_url, "in.jsonl", "--bad-records", "bad.jsonl")
    stopped = run_with_room_for(1000, tmp_path, *options)
    assert stopped.returncode == 3
    assert "cannot write bad.jsonl after 20 records: File too large" in stopped.stderr.decode()


def test_row_groups_that_find_no_room_for_their_file_are_put_together_later(server, folder, tmp_path):
    shutil.copy(folder / "good.jsonl", tmp_path)

    def run(room, url, name):
        options = ("--url", url, "good.jsonl", "-o", name, "--resume")
        return run_with_room_for(room, tmp_path, *options, part_rows=500)

    assert run(1 << 30, server.grpc_url, "whole.parquet").returncode == 0
    whole = (tmp_path / "whole.parquet").read_bytes()
    stopped = run(len(whole) * 2 // 3, server.grpc_url, "out.parquet")
    assert stopped.returncode == 3
    assert f"{RECORDS:,} of them are safe" in stopped.stderr.decode()
    # What is left needs neither the input nor the server.
    (tmp_path / "good.jsonl").write_text("", encoding="utf-8")
    assert run(1 << 30, "127.0.0.1:1", "out.parquet").returncode == 0
    assert (tmp_path / "out.parquet").read_bytes() == whole
    assert {path.name for path in tmp_path.iterdir()} == {"good.jsonl", "out.parquet", "whole.parquet"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("extract", "good.jsonl", "--progress", "none"),
            "cannot write standard output after 0 records: No space left",
        ),
        (("ping",), "standard output: No space left"),
        (("models",), "standard output: No space left"),
    ],
)
def test_a_standard_output_that_is_full_is_told_in_a_sentence(server, folder, arguments, sentence):
    with Path("/dev/full").open("wb") as full:
        command = [*COMMAND, *arguments, "--url", server.grpc_url]
        done = subprocess.run(command, cwd=folder, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 3
    assert done.stderr.decode().startswith(f"distillex-client: {sentence}")
    assert len(done.stderr.splitlines()) == 1
