"""What the training commands share: the log, and one sentence where something is refused."""

from __future__ import annotations

import logging
from typing import NoReturn

import typer
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


def fail(command: str, message: str, code: int = 1) -> NoReturn:
    """Say why a command did not do what was asked."""
    typer.echo(f"distillex {command}: {message}", err=True)
    raise typer.Exit(code)
