"""The page of all commands, read from the commands themselves, so that it says what ``--help`` says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from distillex.command.main import application
from distillex_client.cli import app
from typer.main import get_command

BAR = "\\|"
"""A pipe in a table; the site's hooks take the backslash off where it stands in code."""
HEAD = """# Commands

What `--help` says, made from the commands when this site is built. `distillex` comes with the library and the server,
`distillex-client` with the client.
"""


def command_page() -> str:
    """Return the page: a section for each program, one below it for each command."""
    parts = [HEAD]
    for program, command in (("distillex", get_command(application)), ("distillex-client", get_command(app))):
        parts.extend(_sections(command, program, None, 2))
    return "\n".join(parts)


def _sections(command: Any, name: str, parent: Any, level: int) -> Iterator[str]:
    context = command.context_class(command, info_name=name, parent=parent)
    yield f"{'#' * level} {context.command_path}\n"
    if command.help:
        yield f"{_prose(command.help)}\n"
    parameters = [each for each in command.get_params(context) if not getattr(each, "hidden", False)]
    if hasattr(command, "list_commands"):
        for child in command.list_commands(context):
            yield from _sections(command.get_command(context, child), child, context, level + 1)
        return
    yield f"```text\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    for title, is_argument in (("argument", True), ("option", False)):
        rows = [
            _row(*record)
            for each in parameters
            if (each.param_type_name == "argument") is is_argument
            and (record := each.get_help_record(context)) is not None
            and "--help" not in record[0]
        ]
        if rows:
            table = f"| {title} | |\n|---|---|\n" + "".join(rows)
            yield f'<div class="options" markdown>\n\n{table}\n</div>\n'


def _row(name: str, said: str) -> str:
    shown = " ".join(f"`{each}`" for each in re.findall(r"<[^>]*>|[^\s,/]\S*[^\s,]", name))
    return f"| {shown.replace('|', BAR)} | {_prose(' '.join(said.split())).replace('|', BAR)} |\n"


def _prose(text: str) -> str:
    """Return text of ``--help`` as Markdown that shows each sign of it."""
    text = re.sub(r"\\\[", "[", text.replace("\b\n", ""))
    parts = re.split(r"(`[^`]*`)", text.replace("``", "`"))
    return "".join(part if part.startswith("`") else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    return re.sub(r"([*_\[])", r"\\\1", text).replace("<", "&lt;")
