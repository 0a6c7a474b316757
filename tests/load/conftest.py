"""The load tests' modules on the path, and a teacher small enough for a test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from server_under_test import ROOT, why_no_server

sys.path.insert(0, str(ROOT / "load_tests"))


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory) -> Path:
    """An exported teacher of 2 layers x 96, random weights."""
    pytest.importorskip("torch", reason="needs torch: pip install 'distillex[train]'")
    if reason := why_no_server():
        pytest.skip(reason)
    from random_teacher import TeacherSizes, export_random_teacher

    folder = tmp_path_factory.mktemp("teacher")
    export_random_teacher(folder, TeacherSizes(layers=2, width=96))
    return folder


@pytest.fixture
def needs_locust():
    pytest.importorskip("psutil", reason="needs psutil: pip install 'distillex[load]'")
    import importlib.util

    # Not imported here: locust replaces parts of the standard library in the process that imports it.
    if importlib.util.find_spec("locust") is None:
        pytest.skip("locust is not installed: pip install 'distillex[load]'")
