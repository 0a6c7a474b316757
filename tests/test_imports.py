"""Every module can be imported first, and no two need each other."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch: pip install 'distillex[train]'")
pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'distillex-client[parquet]'")
ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "distillex_matcher": ROOT / "matcher_cpp",
    "distillex_client": ROOT / "client",
    "distillex": ROOT / "runtime",
    "distillex_serving": ROOT / "serving",
    "distillex_training": ROOT / "training",
}
IN_TRITON = "distillex_serving.python_models."
"""What only a process of Triton's can import."""

# Each module is imported in a process of its own; what others have written is loaded before these part.
EACH_ALONE = """
import gc, os, sys, traceback
import accelerate, accelerate.utils, httpx2, numpy, onnx, onnxruntime, onnxruntime.quantization, onnxscript.optimizer
import pydantic.dataclasses, rich.logging, rich.progress, rich.table, safetensors.torch, torch, torch.onnx, torchcrf
import transformers, typer, yaml
gc.disable()
assert not [name for name in sys.modules if name.startswith("distillex")]
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            __import__(name)
        except BaseException:
            print(name, "cannot be imported alone:", traceback.format_exc(), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        os._exit(1)
"""


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted((folder / package).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def needed(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of ours that a module imports anywhere, for types alone or within a function too, and their packages."""
    asked: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            asked |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            asked |= {
                inner if (inner := f"{node.module}.{alias.name}") in known else node.module for alias in node.names
            }
    packages = {
        ".".join(parts[:end]) for other in asked for parts in [other.split(".")] for end in range(1, len(parts))
    }
    own = {name, *(parent for parent in packages if name.startswith(f"{parent}."))} - asked
    return (((asked | packages) & known.keys()) - own) - {name}


@pytest.mark.slow
@pytest.mark.nightly
def test_every_module_can_be_imported_alone():
    names = [name for name in modules() if not name.startswith(IN_TRITON)]
    done = subprocess.run([sys.executable, "-c", EACH_ALONE, *names], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_no_two_modules_need_each_other():
    known = modules()
    needs = {name: needed(name, path, known) for name, path in known.items()}
    assert "distillex_training.task" in needs["distillex_training.training_loop"]
    assert "distillex_client.batch.records" in needs["distillex_client.batch.parquet"]
    assert not [name for name in needs["distillex.pipeline"] if "serving" in name]
    tuple(graphlib.TopologicalSorter(needs).static_order())  # CycleError names the circle
