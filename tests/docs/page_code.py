"""The code blocks of documentation pages, and what runs them as a reader would."""

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

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
HEADING = re.compile(r"##? (.+)")
FENCE = re.compile(r"```(\w*)")
MODULES = {"distillex-client": "distillex_client.cli", "distillex": "distillex.command.main"}


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    section: str
    line: int
    language: str
    content: str
    not_run: str | None
    """Why the tests do not run it, which the page says in a comment above it."""


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a Markdown file, those of outputs and pictures included."""
    found, section, language, reason, inside, begun = [], "", "", None, None, 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = FENCE.match(line)
        if inside is not None and fence is None:
            inside.append(line)
        elif inside is not None:
            found.append(Block(section, begun, language, "".join(f"{each}\n" for each in inside), reason))
            inside, reason = None, None
        elif fence is not None:
            inside, language, begun = [], fence[1], number
        elif heading := HEADING.match(line):
            section = heading[1]
        elif line.strip():
            said = NOT_RUN.fullmatch(line)
            reason = said[1] if said else None
    return found


def logical_lines(source: str) -> list[str]:
    """Return the lines of a shell block, those that end with a backslash joined with the next."""
    return source.replace("\\\n", " ").splitlines()


@dataclass
class Reader:
    """Runs blocks one after the other: a working folder, a Python session, and what the last block printed."""

    folder: Path
    namespace: dict[str, object] = field(default_factory=lambda: {"__name__": "page"})
    last_value: object = None
    printed: str = ""

    def run(self, language: str, source: str, place: str) -> None:
        """Run a block, or compare it with what the one before it printed."""
        if language == "python":
            self.printed = self._script(source) if "__main__" in source else self._python(source, place)
        elif language == "bash":
            self.printed = self._bash(source)
        elif language == "text":
            assert self.printed.splitlines() == source.splitlines(), place
        elif language == "yaml":
            import yaml

            assert yaml.safe_load(source), place
        else:
            raise AssertionError(f"{place}: blocks of {language!r} are not known here")

    def _python(self, source: str, place: str) -> str:
        """Run as a notebook would: await at the top level, the value of a last expression kept."""
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        printed = io.StringIO()

        async def in_loop() -> None:
            for part in (tree, ast.Expression(last.value) if last else None):
                if part is None:
                    continue
                mode = "eval" if isinstance(part, ast.Expression) else "exec"
                value = eval(compile(part, place, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), self.namespace)
                self.last_value = await value if inspect.iscoroutine(value) else value

        with contextlib.redirect_stdout(printed):
            if "await " in re.sub(r"^ .*", "", source, flags=re.MULTILINE):
                asyncio.run(in_loop())
            else:
                with contextlib.suppress(StopIteration):
                    in_loop().send(None)
        return printed.getvalue()

    def _script(self, source: str) -> str:
        (self.folder / "script.py").write_text(source, encoding="utf-8")
        return self._process([sys.executable, "script.py"])

    def _bash(self, source: str) -> str:
        commands = self.folder / ".commands"
        commands.mkdir(exist_ok=True)
        for name, module in MODULES.items():
            (commands / name).write_text(f"#!{sys.executable}\nfrom {module} import run\nrun()\n", encoding="utf-8")
            (commands / name).chmod(0o755)
        path = f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        return self._process(["bash", "-euo", "pipefail", "-c", source], PATH=path)

    def _process(self, command: list[str], **environment: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env={**os.environ, **environment}, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout
