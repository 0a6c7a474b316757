"""The log of the serving commands, as text or JSON."""

from __future__ import annotations

import logging
import sys
from typing import NoReturn

import typer
from distillex.command.options import fail
from distillex.command.text_log import text_handler
from rich.console import Console

from distillex_serving.log_format import JsonFormatter, LogFormat

LOG = logging.getLogger("distillex.serve")


def configure_logging(log_format: LogFormat) -> None:
    """Let all that this process logs appear in a format, on standard output."""
    if log_format is LogFormat.TEXT:
        handler = text_handler(Console())
    else:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonFormatter())
        logging.captureWarnings(True)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def say(message: str, log_format: LogFormat) -> None:
    """Tell whoever started the command something that is no complaint."""
    if log_format is LogFormat.TEXT:
        typer.echo(message)
    else:
        LOG.info(message)


def fail_in(log_format: LogFormat, command: str, message: str, code: int) -> NoReturn:
    """Say why the command cannot go on, and end it with an exit code."""
    if log_format is LogFormat.TEXT:
        fail(command, message, code)
    LOG.critical(message)
    raise typer.Exit(code)
