"""The four commands of docs/how-to/training.md, as they stand there, at toy size."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("tritonclient.grpc")
from distillex_client import Extractor
from server_under_test import ROOT, why_no_server

pytestmark = [pytest.mark.training, pytest.mark.server, pytest.mark.slow]

SMALL = {
    "distill": ["--set", "loop.epochs=4", "--set", "loop.averaging=0.9", "--set", "student.dropout=0.1"],
    "serve": ["--grpc-port", "0", "--http-port", "0", "--metrics-port", "0"],
}


def commands():
    page = (ROOT / "docs" / "how-to" / "training.md").read_text(encoding="utf-8")
    return [shlex.split(line) for line in re.search(r"```bash\n(.*?)```", page, re.DOTALL)[1].splitlines()]


@pytest.fixture
def folder(tmp_path, toy):
    """A folder as a clone is: training/, lexicons/ and the shipped student, and the user's labelled files."""
    if reason := why_no_server():
        pytest.skip(reason)
    (tmp_path / "models").mkdir()
    for name in ("training", "lexicons", "models/student-cluener"):
        (tmp_path / name).symlink_to(ROOT / name)
    labelled = tmp_path / "labelled"
    labelled.mkdir()
    lines = [(toy / f"{name}.jsonl").read_text(encoding="utf-8").splitlines() for name in ("train", "dev")]
    records = [json.loads(line) for part in lines for line in part]
    doccano = [
        {"text": r["text"], "label": [[e["start"], e["end"], e["type"]] for e in r["entities"]]} for r in records[:60]
    ]
    (labelled / "doccano.jsonl").write_text("\n".join(map(json.dumps, doccano)), encoding="utf-8")
    columns = []
    for record in records[60:]:
        tags = ["O"] * len(record["text"])
        for entity in record["entities"]:
            tags[entity["start"] : entity["end"]] = [
                f"{'B' if i == entity['start'] else 'I'}-{entity['type']}"
                for i in range(entity["start"], entity["end"])
            ]
        columns += [f"{character}\t{tag}" for character, tag in zip(record["text"], tags, strict=True)] + [""]
    (labelled / "columns.txt").write_text("\n".join(columns), encoding="utf-8")
    return tmp_path


def start(folder: Path, command: list[str]) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "distillex.command.main", *command[1:], *SMALL.get(command[1], [])]
    return subprocess.Popen(program, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_four_commands_lead_from_labelled_files_to_a_served_student(folder):
    convert, distill, export, serve = commands()
    printed = []
    for command in (convert, distill, export):
        process = start(folder, command)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        printed.append(output)
    assert "120 records taken, 0 left out" in printed[0]
    assert "models/student-mine/model.onnx" in printed[2]
    process = start(folder, serve)
    alarm = threading.Timer(90, process.kill)
    alarm.start()
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if ready := re.search(r"ready: gRPC (\S+),", line):
                break
        else:
            raise AssertionError("".join(lines))
        assert re.fullmatch(r"serving \S*/models/student-mine: company, name\n", lines[0])
        with Extractor(ready[1]) as extractor:
            found = [(e.start, e.end, e.type) for e in extractor.extract("今天赵伟离开东方电子！")]
        assert found == [(2, 4, "name"), (6, 10, "company")]
    finally:
        process.terminate()
        process.wait(30)
        alarm.cancel()
        process.stdout.close()
