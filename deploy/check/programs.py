"""Run the tools and read what they say."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


def said(command: Sequence[str | Path], *, given: str | None = None, cwd: Path | None = None) -> str | None:
    """Return None where a program ended well, else what it said."""
    done = subprocess.run(command, input=given, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    return None if done.returncode == 0 else (done.stdout + done.stderr).strip() or f"exit code {done.returncode}"


def output(command: Sequence[str | Path], *, given: str | None = None, cwd: Path | None = None) -> str:
    """Return what a program printed.

    Raises
    ------
    RuntimeError
        Where it failed; holds what it said.
    """
    done = subprocess.run(command, input=given, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise RuntimeError((done.stderr or done.stdout).strip())
    return done.stdout
