"""What the training commands share: the log, threads, and the check of what they are to write."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from distillex.command.options import EXIT_PRECONDITION, fail
from distillex_matcher.cores import usable_cores
from rich.console import Console
from rich.logging import RichHandler

CONSOLE = Console(stderr=True)
"""The one of the log and of all bars, so that a line of the log does not cut through a bar."""


class OneLine(logging.Formatter):
    """A record a line, however long, with its time: for files, and for what reads them."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Join the lines of the message; a traceback stays below it."""
        return " ".join(super().formatMessage(record).splitlines())


def is_on_a_terminal() -> bool:
    """Tell whether somebody looks on: else rich would wrap lines at 80 columns."""
    return sys.stderr.isatty()


def log_to_standard_error() -> None:
    """Show what the project logs from INFO on, and warnings of others: in colours on a terminal, else a line each."""
    if is_on_a_terminal():
        handler: logging.Handler = RichHandler(console=CONSOLE, show_path=False)
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(OneLine())
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # transformers' bars too, which are no lines
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
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
