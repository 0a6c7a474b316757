"""What the client's own distribution brings along, and how quickly it is imported."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

CLIENT = Path(__file__).resolve().parents[2] / "client"
TOO_HEAVY = {"torch", "onnxruntime", "transformers", "onnx", "nvidia-pytriton", "distillex", "jieba", "pyarrow", "ray"}


def test_importing_it_loads_neither_what_is_heavy_nor_what_only_a_call_needs():
    loaded = "('torch', 'onnxruntime', 'grpc', 'tritonclient', 'rich', 'typer', 'pyarrow', 'ray', 'opentelemetry')"
    code = f"import sys, distillex_client; print([name for name in {loaded} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.nightly
def test_an_empty_environment_gets_wheels_alone_and_none_that_is_heavy(tmp_path):
    venv.create(tmp_path / "environment", with_pip=True)
    pip = [tmp_path / "environment" / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    report = tmp_path / "report.json"
    done = subprocess.run(
        [*pip, "install", "--quiet", "--dry-run", "--only-binary", ":all:", "--report", report, CLIENT],
        capture_output=True,
        text=True,
    )
    if re.search("connection|No matching distribution found for hatchling", done.stderr, re.IGNORECASE):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    installed = {item["metadata"]["name"].lower(): item for item in json.loads(report.read_text())["install"]}
    assert "tritonclient" in installed
    assert not TOO_HEAVY & set(installed)
    urls = [item["download_info"]["url"] for name, item in installed.items() if name != "distillex-client"]
    assert all(url.endswith(".whl") for url in urls)
