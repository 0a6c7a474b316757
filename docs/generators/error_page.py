"""The page of all errors, read from each package's module ``errors`` without importing it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "distillex": ("runtime", "raised in your own process"),
    "distillex_client": ("client", "raised by the client of a server"),
    "distillex_matcher": ("matcher_cpp", "of lexicons, layouts and decoding"),
    "distillex_serving": ("serving", "of the server; `distillex serve` says them and ends"),
    "distillex_training": ("training", "of training; the commands say them and end"),
}
HEAD = """# Errors

Every exception class, made from the classes when this site is built. An error stands below the one that it derives
from, so that `except` with the upper one catches both. Messages name the value that is wrong and say what is accepted.
Import an error from its package where that exports it (`from distillex_client import ServerUnavailable`), else from the
module `errors` of the package.

What to do about each: [in your own process](../how-to/python.md#what-can-go-wrong),
[in a client](../how-to/client.md#what-each-error-means). Exit codes of commands stand with
[the commands](commands.md).
"""


@dataclass(frozen=True)
class ErrorClass:
    """An exception class as its file declares it."""

    name: str
    bases: tuple[str, ...]
    summary: str


def error_page() -> str:
    """Return the page: a section for each package, its classes as a tree."""
    parts = [HEAD]
    for package, (folder, what) in PACKAGES.items():
        module = ROOT / folder / package / "errors.py"
        errors = list(error_classes(module.read_text(encoding="utf-8")))
        names = {each.name for each in errors}
        lines = [line for each in errors if not names & set(each.bases) for line in _tree(each, errors)]
        parts.append(f"## {package}.errors\n\nErrors {what}.\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def error_classes(source: str) -> Iterator[ErrorClass]:
    """Yield the classes of an errors module, as they stand in it."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            summary = inspect.cleandoc(ast.get_docstring(node) or "").partition("\n\n")[0]
            bases = tuple(ast.unparse(base) for base in node.bases)
            yield ErrorClass(node.name, bases, " ".join(summary.replace("``", "`").split()))


def _tree(error: ErrorClass, errors: list[ErrorClass], depth: int = 0) -> Iterator[str]:
    above = {each.name for each in errors}
    others = [f"`{base}`" for base in error.bases if base not in above]
    also = f" ({', '.join(others)})" if others else ""
    yield f"{'    ' * depth}- **`{error.name}`**{also}: {error.summary}"
    for child in errors:
        if error.name in child.bases:
            yield from _tree(child, errors, depth + 1)
