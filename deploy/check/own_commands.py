"""Command lines of our programs: whether they take them, and which gate they make."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distillex.command.main import application
from distillex_client.cli import app as client
from programs import said
from tools import Tools
from typer.main import get_command

APPLICATIONS = {"distillex": application, "distillex-client": client}


class CommandLineError(ValueError):
    """A command, an option or a value that the program does not know."""


def options_of(arguments: Sequence[str], program: str = "distillex") -> dict[str, Any]:
    """Return the values of a command's options.

    Raises
    ------
    CommandLineError
        Where the program would refuse the command line.
    """
    command: Any = get_command(APPLICATIONS[program])
    rest, context = list(arguments), None
    try:
        while hasattr(command, "get_command"):
            # A group's own context, which its commands have as their parent.
            context = command.context_class(command, info_name=program, parent=context)
            name = rest.pop(0) if rest else ""
            command = command.get_command(context, name)
            if command is None:
                raise CommandLineError(f"there is no command {name!r}")
        return dict(command.make_context(command.name, rest, parent=context).params)
    except Exception as error:
        # Typer's versions bring click's exceptions from different packages.
        if hasattr(error, "format_message"):
            raise CommandLineError(error.format_message()) from None
        raise


def problem_of(arguments: Sequence[str], program: str = "distillex") -> str | None:
    """Return why a command line is not accepted, or None."""
    try:
        options_of(arguments, program)
    except CommandLineError as error:
        return f"{program} {' '.join(arguments)}: {error}"
    return None


def gate_problem(tools: Tools, arguments: Sequence[str], certificates: Path) -> str | None:
    """Return what Envoy has against the gate of a command line, or None.

    Parameters
    ----------
    tools
        Has Envoy.
    arguments
        Of ``distillex``, the first being ``gate``.
    certificates
        Folder with ``tls.crt``, ``tls.key`` and ``ca.crt``, which stand in for those of the command line.
    """
    envoy = tools.envoy
    own = {"certificate": "tls.crt", "key": "tls.key", "client-ca": "ca.crt"}
    local = [
        f"--tls-{name}={certificates / own[name]}" if (name := _tls_option(argument)) else argument
        for argument in arguments
        # Who the tenants are does not stand in Envoy's configuration; --print refuses their options.
        if not argument.startswith(("--host=", "--tenant"))
    ]
    command = [sys.executable, "-m", "distillex.command.main", *local, "--host=127.0.0.1", "--print"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        return done.stderr.strip()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "envoy.json"
        file.write_text(done.stdout, encoding="utf-8")
        return said([envoy, "--mode", "validate", "--config-path", file])


def _tls_option(argument: str) -> str | None:
    return argument.removeprefix("--tls-").partition("=")[0] if argument.startswith("--tls-") else None
