"""The checks of deploy/check, and their tools."""

from __future__ import annotations

import sys

import pytest
from server_under_test import ROOT

sys.path.insert(0, str(ROOT / "deploy" / "check"))
pytest.importorskip("yaml", reason="needs pyyaml: pip install 'distillex[train]'")


@pytest.fixture(scope="session")
def tools():
    """The tools, fetched into the folder that ``make deploy-check`` uses."""
    from tools import FOLDER, Tools

    return Tools(FOLDER)


@pytest.fixture(scope="session")
def problems(tools):
    """Run a check on a tree, by its name; skips where its tool cannot be had, saying why."""
    from run import CHECKS
    from tools import ToolMissingError

    def run(name, tree=ROOT):
        try:
            return CHECKS[name].run(tree, tools)
        except ToolMissingError as error:
            pytest.skip(f"{name}: {error}")

    return run
