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


def test_words_returned_and_wrongly_returned_are_counted_of_the_rows_of_the_student(toy, toy_student, tmp_path):
    right = {"text": TEXT, "word": "南海船务", "type": "company", "start": 5, "end": 9, "student": "toy"}
    elsewhere = right | {"start": 0, "end": 2}
    everyday = write_jsonl(tmp_path / "everyday.jsonl", [right, right, elsewhere, right | {"student": "another"}])
    by_chance = {"text": TEXT, "word": "伟加", "type": "company", "student": "toy"}
    wrong = write_jsonl(tmp_path / "wrong.jsonl", [by_chance, by_chance | {"word": "南海船务"}])
    head, rows = measured(toy_student, toy, "--everyday", everyday, "--wrong", wrong)
    assert head == ["words returned, of 3", "wrong returned, of 2"]
    assert rows["0"] == ["2 (66.7 %)", "1 (50.0 %)"]
    assert set(rows) == {"0", "insist"}


def test_a_file_that_is_not_there_is_passed_over(toy, toy_student, tmp_path):
    _, rows = measured(toy_student, toy, "--everyday", tmp_path / "none.jsonl")
    assert rows["0"] == ["–", "–"]
