"""The log of a command as text: in colours on a terminal, else a line a record."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.logging import RichHandler


class OneLine(logging.Formatter):
    """A record a line, however long, with its time: for files, and for what reads them."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Join the lines of the message; a traceback stays below it."""
        return " ".join(super().formatMessage(record).splitlines())


def is_on_a_terminal(console: Console) -> bool:
    """Tell whether somebody looks on: else rich would wrap lines at 80 columns."""
    return console.file.isatty()


def text_handler(console: Console) -> logging.Handler:
    """Return what shows records where a console writes."""
    if not is_on_a_terminal(console):
        handler: logging.Handler = logging.StreamHandler(console.file)
        handler.setFormatter(OneLine())
        return handler
    handler = RichHandler(console=console, show_path=False)
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler
