"""The files of a public forge call what is there: CI the Makefile's targets, pre-commit programs of .venv."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install 'distillex[dev]'")
ROOT = Path(__file__).resolve().parents[1]


def read(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_ci_runs_make_targets_and_nothing_else():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    jobs = read(".github/workflows/ci.yml")["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    called = {command.split()[1] for command in commands}
    assert {command.split()[0] for command in commands} == {"make"}
    assert {"test", "try-dist", "wheels", "dist"} <= called <= targets


def test_pre_commit_runs_what_make_check_runs():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    check = re.search(r"^check:\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1]
    hooks = {hook["id"]: hook["entry"] for repo in read(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]}
    for name in ("ruff-check", "ruff-format", "clang-format"):
        program = " ".join(hooks[name].removeprefix(".venv/bin/").split()[:2])
        assert f"$(BIN)/{program}" in check


@pytest.mark.parametrize("form", ["bug.yml", "extraction.yml", "wish.yml"])
def test_issue_forms_ask_for_something(form):
    body = read(f".github/ISSUE_TEMPLATE/{form}")["body"]
    assert [part["attributes"]["label"] for part in body if part["type"] != "markdown"]


def test_the_map_of_owners_names_folders_that_are_there():
    text = (ROOT / ".github/CODEOWNERS").read_text(encoding="utf-8")
    folders = re.findall(r"(?<=\s)/([\w./]+)", text)
    assert len(folders) > 10
    assert [folder for folder in folders if not (ROOT / folder).exists()] == []
