"""The code blocks of docs/how-to/client.md, section by section, run against the real server.

The blocks of a section share a working folder, and its Python blocks a namespace. A ``text`` block says what the block
before it prints.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("tritonclient.grpc")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "client.md"
ADDRESS = "127.0.0.1:8001"
NEEDED = {"In a FastAPI service": ("fastapi", "httpx2"), "Over a Parquet lake": ("pyarrow", "ray")}

pytestmark = pytest.mark.server


def sections() -> dict[str, list[tuple[str, str]]]:
    """Title → its code blocks, each a language and its content."""
    title, *rest = re.split(r"^##? (.+)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    bodies = dict(zip([title, *rest[1::2]], rest[::2], strict=True))
    return {name: re.findall(r"^```(\w+)\n(.*?)^```$", body, re.MULTILINE | re.DOTALL) for name, body in bodies.items()}


@dataclass
class Run:
    """What came of a section."""

    namespace: dict[str, object] = field(default_factory=dict)
    last_value: object = None


def run_python(source: str, run: Run) -> str:
    """Run a block as a notebook would: await at its top level, the value of a last expression kept."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()

    async def in_loop():
        for part in (tree, ast.Expression(last.value) if last else None):
            if part is None:
                continue
            mode = "eval" if isinstance(part, ast.Expression) else "exec"
            value = eval(compile(part, PAGE, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), run.namespace)
            run.last_value = await value if inspect.iscoroutine(value) else value

    with contextlib.redirect_stdout(printed):
        if "await " in re.sub(r"^ .*", "", source, flags=re.MULTILINE):
            asyncio.run(in_loop())
        else:
            with contextlib.suppress(StopIteration):
                in_loop().send(None)
    return printed.getvalue()


def run_bash(source: str, folder: Path) -> str:
    """Run a block in a shell that knows the commands ``distillex-client``, ``distillex`` and ``python``."""
    commands = folder / ".commands"
    commands.mkdir(exist_ok=True)
    for name, module in (("distillex-client", "distillex_client.cli"), ("distillex", "distillex.command.main")):
        (commands / name).write_text(f"#!{sys.executable}\nfrom {module} import run\nrun()\n", encoding="utf-8")
        (commands / name).chmod(0o755)
    path = f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", source],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def run_section(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(title: str) -> Run:
        for module in NEEDED.get(title, ()):
            pytest.importorskip(module, reason=f"{module} is not installed")
        outcome = Run({"__name__": "page"})
        printed = ""
        for language, content in sections()[title]:
            source = content.replace(ADDRESS, server.grpc_url)
            if language == "python":
                printed = run_python(source, outcome)
            elif language == "bash":
                printed = run_bash(source, tmp_path)
            else:
                assert language == "text", f"{title}: blocks of {language} are not known here"
                assert printed.splitlines() == content.splitlines()
        return outcome

    return run


@pytest.mark.parametrize("title", [title for title, blocks in sections().items() if blocks])
def test_the_code_of_each_section_runs(run_section, title):
    run_section(title)


def test_the_service_answers_with_entities_and_turns_errors_into_statuses(run_section):
    app = run_section("In a FastAPI service").namespace["app"]
    from fastapi.testclient import TestClient

    with TestClient(app) as client:
        answer = client.post("/entities", json={"text": "华为技术有限公司在上海。" * 100})
        assert answer.status_code == 200
        assert {"start": 0, "end": 8, "type": "company", "text": "华为技术有限公司"}.items() <= answer.json()[0].items()
        refused = client.post("/entities", json={"text": "a\0b"})
        assert refused.status_code == 422
        assert "NUL" in refused.json()["error"]


def test_the_notebook_shows_the_highlighted_text(run_section):
    shown = run_section("In a notebook").last_value._repr_html_()
    assert 'data-type="company"' in shown
    assert "华为技术有限公司</mark>" in shown


def test_the_page_names_every_error_and_no_other():
    from distillex_client import errors

    table = PAGE.read_text(encoding="utf-8").split("## What each error means")[1].split("## ")[0]
    named = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    classes = {c.__name__ for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)}
    assert named == classes - {"ExtractorError"}
