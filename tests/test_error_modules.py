"""Errors stand in one module of each package, as one tree."""

from __future__ import annotations

import ast
import builtins
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BASES = {
    "distillex_matcher": ("matcher_cpp", "MatcherError"),
    "distillex_client": ("client", "ExtractorError"),
    "distillex": ("runtime", "DistillexError"),
    "distillex_serving": ("serving", "ServingError"),
    "distillex_training": ("training", "TrainingError"),
}


def sources(package):
    folder = ROOT / BASES[package][0] / package
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}


def error_names():
    names = {name for name, kind in vars(builtins).items() if isinstance(kind, type) and is_error(kind)}
    for package in BASES:
        module = importlib.import_module(f"{package}.errors")
        names |= {name for name, kind in vars(module).items() if isinstance(kind, type) and is_error(kind)}
    return names


def is_error(kind):
    return issubclass(kind, BaseException)


def errors_declared_in(source, known):
    """Names of the classes that derive from a known error, or whose base is called like one."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            if bases & {*known, *found} or any(base.endswith(("Error", "Exception", "Warning")) for base in bases):
                found.append(node.name)
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class A(ValueError): ...", ["A"]),
        ("import x\nclass A(x.LayoutError): ...\nclass B(A): ...", ["A", "B"]),
        ("def f():\n    class A(Elsewhere, BatchStopped): ...", ["A"]),
        ("class A(OfAnotherLibraryError): ...", ["A"]),
        ("class A: ...\nclass B(A, str): ...", []),
    ],
)
def test_a_declared_error_is_found(source, expected):
    assert errors_declared_in(source, error_names()) == expected


@pytest.mark.parametrize("package", BASES)
def test_no_error_is_declared_outside_the_errors_module(package):
    known = error_names()
    declared = {path: errors_declared_in(source, known) for path, source in sources(package).items()}
    assert declared.pop("errors.py")
    assert {path: names for path, names in declared.items() if names} == {}


def errors_of(package):
    module = importlib.import_module(f"{package}.errors")
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and is_error(kind) and kind.__module__ == module.__name__
    ]


@pytest.mark.parametrize("package", BASES)
def test_every_error_descends_from_the_base_of_its_package_and_says_when_it_is_raised(package):
    base = getattr(importlib.import_module(f"{package}.errors"), BASES[package][1])
    for kind in errors_of(package):
        assert issubclass(kind, base), kind
        assert vars(kind)["__doc__"], kind


@pytest.mark.parametrize("package", BASES)
def test_the_tree_in_the_docstring_is_the_tree_of_the_classes(package):
    module = importlib.import_module(f"{package}.errors")
    lines = module.__doc__.partition("::\n\n")[2].partition("\n\n")[0].splitlines()
    above, drawn = {}, []
    for line in lines:
        text = line.lstrip(" │├└─")
        if (name := text.split()[0]) != "…":
            depth = len(line) - len(text)
            above = {place: other for place, other in above.items() if place < depth} | {depth: name}
            parent = max((place for place in above if place < depth), default=None)
            drawn.append((name, above.get(parent)))
    own = {kind.__name__ for kind in errors_of(package)}
    declared = [
        (kind.__name__, next((b.__name__ for b in kind.__bases__ if b.__name__ in own), None))
        for kind in errors_of(package)
    ]
    assert drawn == declared


def test_the_core_raises_the_error_of_the_errors_module():
    from distillex_matcher import LexiconError, _core, errors

    assert LexiconError is errors.LexiconError
    with pytest.raises(errors.LexiconError, match="'very' is not"):
        _core.parse_trust("very")


def test_what_the_server_refuses_and_what_ends_a_batch_are_errors_of_the_client():
    from distillex.errors import DistillexError
    from distillex_client import ExtractorError
    from distillex_client.batch import BatchStopped, WrongUse

    assert all(issubclass(kind, ExtractorError) for kind in (BatchStopped, WrongUse, DistillexError))


PROPER_NAMES = (
    "NVIDIA",
    "Ray",
    "Tls",
    "Parquet",
    "ModelNotFound",
    "ONNX",
    "TensorRT",
    "HTTP",
    "No module named 'torch'",
)
"""With them, and with the names of tensors (TRUST, LEXICON), a message may begin though they are capitals."""


def beginnings_and_ends(source):
    """What the messages of the errors that are raised begin and end with, where the source says it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            said = node.exc.args[0]
            parts = said.values if isinstance(said, ast.JoinedStr) else [said]
            texts = [part.value if isinstance(part, ast.Constant) else "" for part in (parts[0], parts[-1])]
            if all(isinstance(text, str) for text in texts):
                yield texts


def is_in_the_style(begin, end):
    word = begin.split(" ")[0].strip(":")
    capital = begin[:1].isupper() and not (word.isupper() or begin.startswith(PROPER_NAMES))
    return not capital and not end.endswith(("!", "."))


@pytest.mark.parametrize("package", BASES)
def test_messages_begin_small_and_end_without_a_full_stop(package):
    wrong = [
        (path, begin, end)
        for path, source in sources(package).items()
        for begin, end in beginnings_and_ends(source)
        if not is_in_the_style(begin, end)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ("raise A('the value 1 is not accepted')", True),
        ("raise A('The value 1 is not accepted')", False),
        ("raise A(f'the value {x} is not accepted.')", False),
        ("raise A(f'{x} is not accepted')", True),
        ("raise A('TRUST: 5 is not accepted')", True),
    ],
)
def test_the_style_of_a_message_is_told(raised, expected):
    [(begin, end)] = beginnings_and_ends(raised)
    assert is_in_the_style(begin, end) == expected
