"""What trust in the words of a request gives and costs, as training/evidence/measure_trust.py prints it."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_jsonl

pytestmark = pytest.mark.training

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "evidence" / "measure_trust.py"


def measured(model, toy, *arguments):
    command = (sys.executable, SCRIPT, model, "--dev", toy / "dev.jsonl", "--train", toy / "train.jsonl")
    options = ("--base", toy / "base.lex", "--student", "toy", *arguments)
    return subprocess.run(map(str, command + options), check=True, capture_output=True, text=True).stdout.splitlines()


def test_words_returned_and_wrongly_returned_are_counted_for_each_trust(toy, toy_student, tmp_path):
    row = {"text": "昨天蓝鲸阁关门", "word": "蓝鲸阁", "type": "company", "start": 2, "end": 5, "student": "toy"}
    other = row | {"student": "another"}
    everyday = write_jsonl(tmp_path / "everyday.jsonl", [row, row, other])
    wrong = write_jsonl(
        tmp_path / "wrong.jsonl", [{"text": "完美团结", "word": "美团", "type": "company", "student": "toy"}]
    )
    prefers = ("--prefers", "0", "500")
    lines = measured(toy_student, toy, "--everyday", everyday, "--wrong", wrong, *prefers)
    assert "words returned, of 2 | wrong returned, of 1 |" in lines[1]
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:4]] for cells in (line.split("|") for line in lines[3:])
    }
    assert list(rows) == ["0", "500", "insist"]
    assert rows["500"] == ["2 (100.0 %)", "1 (100.0 %)"]
    absent = measured(toy_student, toy, "--everyday", tmp_path / "none.jsonl", *prefers)
    assert "| insist | – | – |" in absent[-1]
    assert "right words" in absent[0]


def test_twins_are_compared_and_a_picture_is_drawn(toy, toy_student, tmp_path):
    pairs = [{"simplified": "昨天蓝鲸阁关门", "variant": "昨天藍鯨閣關門"}, {"simplified": "甲乙", "variant": "甲乙"}]
    twins = write_jsonl(tmp_path / "twins.jsonl", pairs)
    picture = tmp_path / "trust.png"
    lines = measured(toy_student, toy, "--prefers", "0", "2", "--twins", twins, "--picture", picture)
    assert lines[-1] == "2 of 2 sentences in other characters have the same entities"
    assert picture.read_bytes().startswith(b"\x89PNG")
