"""What typer itself finds wrong on a command line is said in one sentence, with exit code 2."""

from __future__ import annotations

import enum
import subprocess
import sys
from typing import Annotated

import pytest
import typer
from distillex_client.command_line import run_application


class Shape(str, enum.Enum):
    """A choice of two."""

    ROUND = "round"
    SQUARE = "square"


APPLICATION = typer.Typer(no_args_is_help=True)


@APPLICATION.command()
def bake(
    cake: Annotated[str, typer.Argument(help="What to bake.")],
    *,
    minutes: Annotated[int, typer.Option(min=1, help="How long.")] = 30,
    shape: Annotated[Shape, typer.Option(help="Of the tin.")] = Shape.ROUND,
    fan: Annotated[bool, typer.Option("--fan/--no-fan", help="Blow.")] = False,
    taster: Annotated[str, typer.Option(help="Who may taste.")] = "all",
) -> None:
    """Bake."""
    typer.echo(f"{cake} {minutes} {shape.value} {fan} {taster}")
    if cake == "coal":
        raise typer.Exit(7)


@APPLICATION.command()
def eat() -> None:
    """Eat."""
    raise typer.Abort


MISTAKES = {
    "bakr": "oven: unknown command 'bakr'; did you mean 'bake'? accepted: bake, eat\n",
    "bake": "oven bake: CAKE is missing: What to bake\n",
    "bake pie tart": "oven bake: unexpected 'tart'; accepted: CAKE\n",
    "eat pie": "oven eat: unexpected 'pie'; accepted: options alone\n",
    "bake pie --minuts 3": (
        "oven bake: unknown option '--minuts'; did you mean --minutes? `oven bake --help` lists all\n"
    ),
    "bake pie --xyz": (
        "oven bake: unknown option '--xyz'; accepted: --minutes, --shape, --fan, --no-fan, --taster, --help\n"
    ),
    "bake pie --minutes many": "oven bake: --minutes is 'many'; it has to be a valid integer\n",
    "bake pie --minutes 0": "oven bake: --minutes is '0'; it has to be greater than or equal to 1\n",
    "bake pie --shape squere": "oven bake: --shape is 'squere'; did you mean 'square'? accepted: round, square\n",
    "bake pie --taster": "oven: --taster is followed by no value\n",
    "bake pie --fan=3": "oven: --fan takes no value\n",
}


def run(arguments: str) -> int:
    """Run the command and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        run_application(APPLICATION, "oven", arguments.split())
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(("arguments", "said"), MISTAKES.items())
def test_a_mistake_is_answered_by_one_sentence_that_names_it_and_what_is_accepted(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert capsys.readouterr() == ("", said)


def test_a_command_that_runs_keeps_its_output_and_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bake pie --shape square --fan") == 0
    assert capsys.readouterr() == ("pie 30 square True all\n", "")
    assert run("bake coal") == 7
    assert run("eat") == 1
    assert capsys.readouterr().err == "oven: ended by the user\n"


def test_help_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bake --help") == 0
    assert "Usage: oven bake [OPTIONS]" in capsys.readouterr().out
    assert run("") == 2
    shown = capsys.readouterr()
    assert "Usage: oven [OPTIONS] COMMAND" in shown.out + shown.err


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        ("distillex_client.cli", "extrct", "distillex-client: unknown command 'extrct'; did you mean 'extract'?"),
        ("distillex.command.main", "evalute", "distillex: unknown command 'evalute'; did you mean 'evaluate'?"),
        ("distillex.command.main", "lexicon buil", "distillex lexicon: unknown command 'buil'; did you mean 'build'?"),
    ],
)
def test_both_commands_answer_so(module: str, arguments: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"from {module} import run; run()", *arguments.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
