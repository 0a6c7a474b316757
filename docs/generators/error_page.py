"""The page of all errors, read from the exception classes of the packages without importing them."""

from __future__ import annotations

import ast
import builtins
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

What to do about each: [in your own process](../how-to/python.md#what-can-go-wrong),
[in a client](../how-to/client.md#what-each-error-means). Exit codes of commands stand with
[the commands](commands.md).
"""


@dataclass(frozen=True)
class ErrorClass:
    """An exception class as its file declares it."""

    name: str
    module: str
    bases: tuple[str, ...]
    summary: str


def error_page() -> str:
    """Return the page: a section for each package, its classes as a tree."""
    declared = {package: list(_classes(package)) for package in PACKAGES}
    everything = [each for classes in declared.values() for each in classes]
    errors = _errors(everything)
    parts = [HEAD]
    for package, (_, what) in PACKAGES.items():
        own = sorted((each for each in declared[package] if each in errors), key=lambda each: each.name)
        if own:
            names = {each.name for each in own}
            roots = [each for each in own if not names & set(each.bases)]
            lines = [line for root in roots for line in _tree(root, own)]
            parts.append(f"## {package}\n\nErrors {what}.\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _tree(
    error: ErrorClass, classes: list[ErrorClass], above: ErrorClass | None = None, depth: int = 0
) -> Iterator[str]:
    bases = f" ({', '.join(f'`{base}`' for base in error.bases)})" if above is None else ""
    module = f" of `{error.module}`" if above is None or error.module != above.module else ""
    summary = f": {error.summary}" if error.summary else ""
    yield f"{'    ' * depth}- **`{error.name}`**{bases}{module}{summary}"
    for child in classes:
        if error.name in child.bases:
            yield from _tree(child, classes, error, depth + 1)


def _errors(classes: list[ErrorClass]) -> set[ErrorClass]:
    """Return the public classes that are exceptions, whatever lies between them and a built-in one."""
    known = {
        name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
    }
    found: set[ErrorClass] = set()
    while new := {each for each in classes if each not in found and known & set(each.bases)}:
        found |= new
        known |= {each.name for each in new}
    return {each for each in found if not each.name.startswith("_")}


def _classes(package: str) -> Iterator[ErrorClass]:
    folder = ROOT / PACKAGES[package][0]
    for path in sorted((folder / package).rglob("*.py*")):
        if path.suffix not in (".py", ".pyi"):
            continue
        module = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = tuple(ast.unparse(base).rpartition(".")[2] for base in node.bases)
                summary = inspect.cleandoc(ast.get_docstring(node) or "").partition("\n\n")[0]
                yield ErrorClass(node.name, module, bases, " ".join(summary.replace("``", "`").split()))
