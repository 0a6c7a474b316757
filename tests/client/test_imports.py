"""The modules of the client stand on one another in one order, so that each can be imported first."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import distillex_client
import pytest

PACKAGE = Path(distillex_client.__file__).parent
MODULES = {
    ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
OPTIONAL = {"distillex_client.batch.parquet": "pyarrow"}


def imported_by(name: str) -> set[str]:
    """Return the modules of the package that a module names in its imports, those within functions too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return (found & MODULES.keys()) - {name}


def test_no_module_imports_itself_through_others_be_it_lazily():
    graph = {name: imported_by(name) for name in MODULES}
    assert "distillex_client.batch.run" in graph["distillex_client.batch"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("name", MODULES)
def test_each_module_can_be_imported_first(name):
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name])
    done = subprocess.run([sys.executable, "-W", "error", "-c", f"import {name}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
