"""The map of the source names every folder, its paths exist, and every file says first what it is for."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAP = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
CODE = (".py", ".pyi", ".cpp", ".hpp", ".inc", ".c")


def source_files():
    """Return the files that git knows, and new ones that it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def folders_on_the_map():
    """Return the folders of the first table, those named relative to their row's folder included."""
    found = set()
    table = MAP.split("## Folders")[1].split("## ")[0]
    for row in re.findall(r"^\| (`.*)$", table, re.MULTILINE):
        first, *others = [name.rstrip("/") for name in re.findall(r"`([\w/]+/)`", row)]
        found.add(first)
        found |= {f"{first}/{name}" if (ROOT / first / name).is_dir() else name for name in others}
    return found


def first_words(path):
    """Return the docstring of a Python file, or the comment that begins a C++ file."""
    content = (ROOT / path).read_text(encoding="utf-8")
    if path.suffix in (".py", ".pyi"):
        return ast.get_docstring(ast.parse(content))
    comment = re.match(r"// ?(.+)", content)
    return comment and comment[1]


def test_every_folder_with_code_and_every_top_folder_is_on_the_map():
    files = source_files()
    top = {path.parts[0] for path in files if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    packages = {path.parent.as_posix() for path in files if path.name == "__init__.py"}
    libraries = {path.parent.as_posix() for path in files if path.suffix in (".cpp", ".hpp")}
    named = folders_on_the_map()
    missing = (packages | libraries) - named | top - {folder.split("/")[0] for folder in named}
    assert not missing, f"docs/map.md does not name {sorted(missing)}"


def test_every_path_of_the_map_exists():
    table = MAP.split("## Where a change goes")[1]
    paths = [path for path in re.findall(r"`([\w./]+)`", table) if "/" in path]
    assert len(paths) > 30
    for path in paths:
        assert (ROOT / path).exists(), f"docs/map.md names {path}, which is not there"
    for folder in re.findall(r"^\| `([\w/]+)/`", MAP, re.MULTILINE):
        assert (ROOT / folder).is_dir(), f"docs/map.md names the folder {folder}, which is not there"


def test_every_file_of_code_begins_by_saying_what_it_is_for():
    silent = [path.as_posix() for path in source_files() if path.suffix in CODE and not first_words(path)]
    assert not silent, f"no docstring or comment at the beginning of {silent}"
