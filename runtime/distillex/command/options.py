"""Options, exit codes and messages that the commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, NoReturn

import typer

TOKEN_VARIABLE = "DISTILLEX_ADMIN_TOKEN"
KEY_VARIABLE = "DISTILLEX_API_KEY"

EXIT_PRECONDITION = 2
EXIT_NOT_STARTED = 3

LexiconDirectory = Annotated[
    Path | None,
    typer.Option("--lexicon-dir", help="Directory of lexicons, including 'base'; default: the shipped one."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--admin-token-file", help=f"File that holds the admin token; else the variable {TOKEN_VARIABLE}."),
]
KeyFile = Annotated[
    Path | None,
    typer.Option("--api-key-file", help=f"File that holds a tenant's API key; else the variable {KEY_VARIABLE}."),
]


def admin_token(path: Path | None) -> str | None:
    """Return the token of the file, or of the environment; None where there is none."""
    return _secret(path, "admin token", TOKEN_VARIABLE)


def api_key(path: Path | None) -> str | None:
    """Return the key of the file, or of the environment; None where there is none."""
    return _secret(path, "API key", KEY_VARIABLE)


def _secret(path: Path | None, what: str, variable: str) -> str | None:
    if path is None:
        return os.environ.get(variable) or None
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        fail(what, f"{path}: {error.strerror}", EXIT_PRECONDITION)
    except UnicodeDecodeError:
        fail(what, f"{path}: the file is not UTF-8", EXIT_PRECONDITION)
    if not secret:
        fail(what, f"{path}: the file is empty", EXIT_PRECONDITION)
    if not secret.isprintable():
        fail(what, f"{path}: the {what.split()[-1]} has to be one line of printable characters", EXIT_PRECONDITION)
    return secret


def fail(command: str, message: str, code: int = 1) -> NoReturn:
    """Say why a command ends, and end it."""
    typer.echo(f"distillex {command}: {message}", err=True)
    raise typer.Exit(code)
