"""The Python block of the README's page without a server, run as a script of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def blocks(page, section=""):
    text = (ROOT / page).read_text(encoding="utf-8")
    body = text.split(f"## {section}\n", 1)[1].split("\n## ")[0] if section else text
    found = BLOCK.findall(body)
    assert found, f"{page} has no Python block"
    return found


@pytest.mark.parametrize(("source", "printed"), [*blocks("README.md", "Without a server")])
def test_what_the_documents_show_runs(tmp_path, source, printed):
    (tmp_path / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "news.txt", tmp_path / "examples")
    (tmp_path / "script.py").write_text(source, encoding="utf-8")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed


def test_the_page_in_the_readme_is_short():
    source, printed = blocks("README.md", "Without a server")[0]
    assert len(source.splitlines()) + len(printed.splitlines()) <= 20
