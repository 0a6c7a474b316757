"""The Dockerfiles and shell scripts, by their linters; what the images say about themselves."""

from __future__ import annotations

import re
from pathlib import Path

from programs import said
from tools import Tools

DOCKERFILES = ("Dockerfile", "Dockerfile.cpu")


def check_dockerfiles(root: Path, tools: Tools) -> list[str]:
    """Let hadolint and shellcheck read them."""
    files = [root / "deploy" / name for name in DOCKERFILES]
    problems = [
        said([tools.python / "hadolint", "--failure-threshold", "info", "--no-color", *files]),
        said([tools.python / "shellcheck", root / "deploy/compose/secrets.sh"]),
    ]
    for file in files:
        final = file.read_text(encoding="utf-8").rpartition("\nFROM ")[2]
        problems += [
            f"{file.name}: the last stage has no {wanted}"
            for wanted in ("USER 10001:10001", "HEALTHCHECK", "ENTRYPOINT")
            if f"\n{wanted}" not in final
        ]
        problems += [f"{file.name}: the last stage installs {word}" for word in re.findall(r"g\+\+|gcc|cmake", final)]
    return [problem for problem in problems if problem]
