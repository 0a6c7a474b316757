"""docs/notebook/results.json: what was measured of which model, a row a run, a row a file and a row a GPU."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from distillex_matcher.layout import write_atomically

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "notebook" / "results.json"
RUNS, FILES, GPU = "runs", "files", "gpu"
KEYS = {RUNS: ("set", "model", "seed"), FILES: ("set", "model"), GPU: ("card", "versions")}
"""What identifies a row: a new row with the same values replaces it."""


def read_results(path: Path = RESULTS) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each kind; none where there is no file yet."""
    content: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KEYS}
    if path.exists():
        content |= json.loads(path.read_text(encoding="utf-8"))
    return content


def put_row(kind: str, row: dict[str, Any], path: Path = RESULTS) -> None:
    """Add a row, or replace the one with the same :data:`KEYS`."""
    results = read_results(path)
    keys = KEYS[kind]
    kept = [other for other in results[kind] if any(other[key] != row[key] for key in keys)]
    results[kind] = sorted([*kept, row], key=lambda each: tuple(str(each[key]) for key in keys))
    write_atomically(path, json.dumps(results, ensure_ascii=False, indent=1) + "\n")


def current_commit() -> str:
    """Return the checked-out commit, with a mark where files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return described.stdout.strip()
