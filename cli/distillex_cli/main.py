"""Compose the ``distillex`` command out of the sub-commands that each part brings.

A part is imported only when one of its commands is asked for: ``distillex serve`` needs no torch,
``distillex lexicon`` no onnxruntime, and ``distillex --help`` nothing but typer.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Any

import click
import typer
from typer.main import get_command


@dataclass(frozen=True)
class LazyCommand:
    """Where a sub-command lives: a module, the Typer application or function in it, and its line in ``--help``."""

    module: str
    attribute: str
    summary: str
    extra: str
    """The extra of the ``distillex`` distribution that brings what the module imports."""


COMMANDS: dict[str, LazyCommand] = {
    "serve": LazyCommand(
        "distillex_serving.cli", "serve", "Start the embedded Triton server on the model repository.", "serve"
    ),
    "lexicon": LazyCommand(
        "distillex_cli.lexicon", "app", "Build, inspect, push, list and roll back lexicons.", "lexicon"
    ),
    "data": LazyCommand(
        "distillex_training.cli", "data_app", "Convert labelled data from other formats.", "train"
    ),
    "pretrain": LazyCommand(
        "distillex_training.cli", "pretrain", "Train a masked language model on raw text.", "train"
    ),
    "finetune": LazyCommand(
        "distillex_training.cli", "finetune", "Fine-tune a teacher with lexicon features and a CRF.", "train"
    ),
    "distill": LazyCommand(
        "distillex_training.cli", "distill", "Train a student, from a teacher or from gold labels alone.", "train"
    ),
    "evaluate": LazyCommand(
        "distillex_training.cli", "evaluate", "Measure a model: F1, seen and unseen entities, lexicons.", "train"
    ),
    "export": LazyCommand(
        "distillex_training.cli", "export", "Export a model to ONNX, TensorRT or a model repository.", "train"
    ),
}


class LazyGroup(click.Group):
    """A click group whose sub-commands are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names in the order of the table above."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command, or None for an unknown name."""
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        try:
            target: Any = getattr(importlib.import_module(lazy.module), lazy.attribute)
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"'distillex {cmd_name}' needs the Python package {error.name!r}: "
                f"pip install 'distillex[{lazy.extra}]'"
            ) from error
        if isinstance(target, typer.Typer):
            command: Any = get_command(target)
        else:
            application = typer.Typer(add_completion=False)
            application.command(name=cmd_name)(target)
            command = get_command(application)
        command.name = cmd_name
        return command  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from the table, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="distillex")
def application() -> None:
    """Distillex: extract key information from Chinese text with a distilled, lexicon-fed tagger."""


def run() -> None:
    """Entry point of the ``distillex`` command."""
    sys.exit(application())


if __name__ == "__main__":
    run()
