"""The typed interface names what the compiled module holds, and the docstrings' examples run."""

import ast
import doctest
from pathlib import Path

import distillex_matcher
from distillex_matcher import _core


def test_the_stub_names_exactly_the_public_names_of_the_module():
    stub = ast.parse((Path(distillex_matcher.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))
    declared = {}
    for node in stub.body:
        if isinstance(node, ast.ClassDef):
            members = {m.name for m in node.body if isinstance(m, ast.FunctionDef)}
            declared[node.name] = {m for m in members if not m.startswith("__")}
        elif isinstance(node, ast.FunctionDef):
            declared[node.name] = set()
        elif isinstance(node, ast.AnnAssign):
            declared[node.target.id] = set()
    present = {}
    for name, value in vars(_core).items():
        if not name.startswith("_") or name == "__version__":
            is_class = isinstance(value, type) and not issubclass(value, Exception)
            present[name] = {m for m in vars(value) if not m.startswith("_")} if is_class else set()
    assert declared == present


def test_docstring_examples_run():
    names = vars(distillex_matcher) | {"__name__": "distillex_matcher"}
    finder = doctest.DocTestFinder()
    runner = doctest.DocTestRunner()
    examples = 0
    for name, value in (*vars(_core).items(), ("Matches", distillex_matcher.Matches)):
        if name.startswith("_") or isinstance(value, int):
            continue
        for test in finder.find(value, name, module=False, globs=dict(names)):
            examples += len(test.examples)
            runner.run(test)
    assert runner.failures == 0
    assert examples >= 6
