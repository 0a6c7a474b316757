"""Options, exit codes and messages that the commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, NoReturn

import typer

TOKEN_VARIABLE = "DISTILLEX_ADMIN_TOKEN"

EXIT_PRECONDITION = 2
EXIT_NOT_STARTED = 3

LexiconDirectory = Annotated[
    Path | None,
    typer.Option("--lexicon-dir", help="Directory of the lexicons, 'base' among them; by default the shipped one."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--admin-token-file", help=f"File that holds the admin token; else the variable {TOKEN_VARIABLE}."),
]


def admin_token(path: Path | None) -> str | None:
    """Return the token of the file, or of the environment; None where there is none."""
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        fail("admin token", f"{path}: {error.strerror}", EXIT_PRECONDITION)
    except UnicodeDecodeError:
        fail("admin token", f"{path}: the file is not UTF-8", EXIT_PRECONDITION)
    if not token:
        fail("admin token", f"{path}: the file is empty", EXIT_PRECONDITION)
    if not token.isprintable():
        fail("admin token", f"{path}: the token has to be one line of printable characters", EXIT_PRECONDITION)
    return token


def fail(command: str, message: str, code: int = 1) -> NoReturn:
    """Say why a command ends, and end it."""
    typer.echo(f"distillex {command}: {message}", err=True)
    raise typer.Exit(code)
