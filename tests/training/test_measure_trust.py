"""What trust in the words of a request gives and costs, as training/evidence/measure_trust.py prints it."""

import subprocess
import sys
from pathlib import Path

from conftest import write_jsonl

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "evidence" / "measure_trust.py"
TEXT = "赵伟加入了南海船务。"


def measured(model, toy, *arguments):
    """Return the words returned and the wrong ones for each number."""
    command = (sys.executable, SCRIPT, model, "--dev", toy / "dev.jsonl", "--train", toy / "train.jsonl")
    options = ("--base", toy / "base.lex", "--student", "toy", "--prefers", "0", *arguments)
    lines = subprocess.run(map(str, command + options), check=True, capture_output=True, text=True).stdout.splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith("|")]
    return cells[0][2:4], {row[1]: row[2:4] for row in cells[2:]}


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


def test_a_file_that_is_not_there_is_passed_over(toy, toy_student, tmp_path):
    _, rows = measured(toy_student, toy, "--everyday", tmp_path / "none.jsonl")
    assert rows["0"] == ["–", "–"]
