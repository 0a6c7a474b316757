"""Read an overview of run directories, without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from distillex_training.errors import RunDirectoryError
from distillex_training.run_record import RECORD, read_record

LOCK, METRICS, FINISHED, TEST, CHECKPOINT = ".lock", "metrics.jsonl", "finished.json", "test.json", "checkpoint.pt"
COMMANDS = {"StudentRun": "distill", "TeacherRun": "finetune", "PretrainRun": "pretrain"}


@dataclass(frozen=True)
class RunOverview:
    """A run directory."""

    directory: Path
    record: dict[str, Any]
    state: str
    """``finished``, ``at work``, ``stopped``, or ``started``: before the first checkpoint."""
    metrics: tuple[dict[str, float], ...]
    test: dict[str, float]

    @property
    def command(self) -> str:
        """Of ``distillex``."""
        kind = str(self.record.get("kind", ""))
        return COMMANDS.get(kind, kind)

    @property
    def metric(self) -> str:
        """What picks the weights."""
        return "masked_accuracy" if self.command == "pretrain" else "f1"

    @property
    def best(self) -> float | None:
        """Score of the weights that are kept; None before the first evaluation."""
        return max((row[self.metric] for row in self.metrics if self.metric in row), default=None)

    @property
    def last(self) -> dict[str, float]:
        """The last evaluation."""
        return self.metrics[-1] if self.metrics else {}


def find_runs(folder: Path) -> list[Path]:
    """Return the run directories in a folder and the folders in it, by name."""
    return sorted(path.parent for pattern in (f"*/{RECORD}", f"*/*/{RECORD}") for path in folder.glob(pattern))


def read_run(directory: Path) -> RunOverview:
    """Read what a run directory says.

    Raises
    ------
    RunDirectoryError
        For a folder that is none, or a damaged one.
    """
    record = read_record(directory)
    if record is None:
        raise RunDirectoryError(f"{directory}: no run directory ({RECORD} is missing)")
    return RunOverview(
        directory, record, _state(directory), tuple(_rows(directory / METRICS)), _object(directory / TEST)
    )


def _state(directory: Path) -> str:
    if _is_locked(directory / LOCK):
        return "at work"
    if (directory / FINISHED).exists():
        return "finished"
    return "stopped" if (directory / CHECKPOINT).exists() else "started"


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def _rows(path: Path) -> list[dict[str, float]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:  # a run that is at work may be writing it
            continue
    return rows


def _object(path: Path) -> dict[str, float]:
    try:
        content: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content
