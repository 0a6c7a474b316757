"""What the training commands share: the log, threads, and the check of what they are to write."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from distillex.command.options import fail
from distillex_matcher.cores import usable_cores
from rich.logging import RichHandler


def log_to_the_terminal() -> None:
    """Show what the project logs from INFO on, and warnings of others."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(show_path=False)])
    logging.getLogger("distillex").setLevel(logging.INFO)


def use_threads(threads: int = 0) -> None:
    """Let torch use so many CPU threads; 0: its choice, at most one a usable core."""
    import torch

    torch.set_num_threads(threads or min(torch.get_num_threads(), usable_cores()))


def check_outcome(command: str, option: str, path: Path | None, inputs: Iterable[Path | None]) -> None:
    """Refuse a file that could not be written or is read, before the work that it is to hold the outcome of."""
    from distillex_training.data.kept_inputs import is_input

    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        fail(command, f"{option}: {path} cannot be written: {path.parent} is no folder, or {path.name} is one")
    if path is not None and is_input(path, inputs):
        fail(command, f"{option}: {path} is an input, and would be lost: give another file")
