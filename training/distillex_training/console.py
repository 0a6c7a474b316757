"""What the training commands share: the log, threads, and the check of what they are to write."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from distillex.command import text_log
from distillex.command.options import EXIT_PRECONDITION, fail
from distillex_matcher.cores import usable_cores
from rich.console import Console

CONSOLE = Console(stderr=True)
"""The one of the log and of all bars, so that a line of the log does not cut through a bar."""


def is_on_a_terminal() -> bool:
    """Tell whether somebody looks on, and a bar can be drawn."""
    return text_log.is_on_a_terminal(CONSOLE)


def log_to_standard_error() -> None:
    """Show what the project logs from INFO on, and warnings of others."""
    if not is_on_a_terminal():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # transformers' bars too, which are no lines
    logging.basicConfig(level=logging.WARNING, handlers=[text_log.text_handler(CONSOLE)])
    logging.getLogger("distillex").setLevel(logging.INFO)


def use_threads(threads: int = 0) -> None:
    """Let torch use so many CPU threads; 0: its choice, at most one a usable core."""
    import torch

    torch.set_num_threads(threads or min(torch.get_num_threads(), usable_cores()))


def check_outcome(command: str, option: str, path: Path | None, inputs: Iterable[Path | None]) -> None:
    """Refuse a file that could not be written or is read, before the work that it is to hold the outcome of."""
    from distillex_training.data.kept_inputs import is_input

    if path is None:
        return
    wrong = ""
    if path.is_dir() or not path.parent.is_dir():
        wrong = f"cannot be written: {path.parent} is no folder, or {path.name} is one"
    elif is_input(path, inputs):
        wrong = "is an input, and would be lost: give another file"
    if wrong:
        fail(command, f"{option}: {path} {wrong}", EXIT_PRECONDITION)
