"""A command line that cannot be read is answered by one sentence on standard error, and exit code 2."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from distillex_client.exit_codes import fill_standard_descriptors
from distillex_client.printable import say
from distillex_client.suggestions import nearest, unknown

# Where these two classes of click stand differs between versions of typer; the class derived from them is always here.
_UsageError: Any = typer.BadParameter.__mro__[1]
_CommandError: Any = typer.BadParameter.__mro__[2]

_UNKNOWN_COMMAND = re.compile(r"No such command '(?P<name>.*?)'\.")
_EXTRA_ARGUMENTS = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((?P<values>.*)\)")
_NO_CHOICE = re.compile(r"(?P<value>'.*?') is not one of (?P<choices>'.*')")


def run_application(application: typer.Typer, program: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process with its exit code.

    Parameters
    ----------
    application
        The command.
    program
        Its name.
    arguments
        What was given; None: this process's arguments.
    """
    fill_standard_descriptors()
    try:
        code = application(args=arguments, prog_name=program, standalone_mode=False)
    except typer.Abort:
        say(f"{program}: ended by the user")
        sys.exit(1)
    except _CommandError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
        else:
            say(sentence(error, program))
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def sentence(error: Any, program: str) -> str:
    """Return what to say of an error of click or typer: the command, the value that is wrong, and what is accepted.

    Parameters
    ----------
    error
        A ``ClickException``.
    program
        Begins the sentence where the error does not know its command.
    """
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "BadOptionUsage":
        # It does not know its command.
        name = context.command_path if context else program
        what = "is followed by no value" if "requires" in error.message else "takes no value"
        return f"{name}: {error.option_name} {what}"
    if not isinstance(error, _UsageError) or context is None:
        return f"{program}: {_plain(error.format_message())}"
    return f"{context.command_path}: {_what_is_wrong(error, context)}"


def _what_is_wrong(error: Any, context: Any) -> str:
    message = error.message or ""
    if hasattr(error, "possibilities"):
        return _unknown_option(error.option_name, context)
    if type(error).__name__ == "MissingParameter":
        return f"{_name(error.param)} is missing{_help_of(error.param)}"
    if getattr(error, "param", None) is not None:
        return _wrong_value(error)
    if (found := _UNKNOWN_COMMAND.match(message)) is not None:
        return unknown("command", found["name"], context.command.list_commands(context))
    if (found := _EXTRA_ARGUMENTS.match(message)) is not None:
        expected = [_name(each) for each in _parameters(context) if each.param_type_name == "argument"]
        return f"unexpected {found['values']!r}; accepted: {' '.join(expected) or 'options alone'}"
    if message.startswith("Missing command"):
        return f"a command is missing; accepted: {', '.join(context.command.list_commands(context))}"
    return _plain(message)


def _unknown_option(name: str, context: Any) -> str:
    known = [option for each in _parameters(context) for option in (*each.opts, *each.secondary_opts)]
    options = [each for each in known if each.startswith("-")]
    meant = nearest(name, (each for each in options if each.startswith("--")))
    if meant is None:
        return f"unknown option {name!r}; accepted: {', '.join(options)}"
    return f"unknown option {name!r}; did you mean {meant}? `{context.command_path} --help` lists all"


def _wrong_value(error: Any) -> str:
    message = _plain(error.message)
    if (found := _NO_CHOICE.match(message)) is not None:
        value, choices = found["value"], re.findall("'(.*?)'", found["choices"])
        meant = nearest(value.strip("'"), choices)
        suggestion = f"did you mean {meant!r}? " if meant else ""
        return f"{_name(error.param)} is {value}; {suggestion}accepted: {', '.join(choices)}"
    # Newer versions of typer have pydantic read values, which knows what was given but does not say it.
    mistakes = error.__cause__.errors() if hasattr(error.__cause__, "errors") else []
    if mistakes and mistakes[0]["msg"].startswith("Input should be "):
        wanted = mistakes[0]["msg"].removeprefix("Input should be ").partition(", unable to")[0]
        return f"{_name(error.param)} is {mistakes[0]['input']!r}; it has to be {wanted}"
    return f"{_name(error.param)}: {message}"


def _parameters(context: Any) -> list[Any]:
    return [each for each in context.command.get_params(context) if not getattr(each, "hidden", False)]


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return str(max(parameter.opts, key=len))


def _help_of(parameter: Any) -> str:
    said = getattr(parameter, "help", None)
    return f": {_plain(said)}" if said else ""


def _plain(message: str) -> str:
    lines = (each.strip() for each in message.removeprefix("Value error, ").split("\n"))
    return " ".join(each for each in lines if each).rstrip(".")
