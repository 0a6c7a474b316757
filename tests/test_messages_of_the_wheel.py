"""What the commands say is true for somebody who has the wheel and no clone: it names no file of the source tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "runtime/distillex",
    "training/distillex_training",
    "serving/distillex_serving",
    "client/distillex_client",
    "matcher_cpp/distillex_matcher",
)
OF_THE_SOURCE_TREE = re.compile(
    r"\b(?:docs|training|deploy|tests|benchmarks|load_tests|release)/[\w*]"
    r"|(?<![\w-])make (?:develop|test|check|docs|dist)\b"
)
BUILDS_THE_SITE = {ROOT / "training/distillex_training/config/reference.py"}


def said(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module with their lines: of docstrings those of commands alone, which are their help."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    if path.stem.endswith(("cli", "_command")) or path.parent.name == "command":
        functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name[0] != "_")
        alone -= {id(node.body[0].value) for node in functions if isinstance(node.body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value


def test_messages_name_nothing_that_the_wheel_lacks() -> None:
    modules = [each for package in PACKAGES for each in sorted((ROOT / package).rglob("*.py"))]
    assert len(modules) > 200
    named = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in modules
        if path not in BUILDS_THE_SITE
        for line, text in said(path)
        if OF_THE_SOURCE_TREE.search(text)
    ]
    assert named == []
