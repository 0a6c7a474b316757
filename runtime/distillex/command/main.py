"""Compose the ``distillex`` command out of the sub-commands that each part brings.

A part is imported only when one of its commands is asked for: ``distillex serve`` needs no torch,
``distillex lexicon`` no onnxruntime, and ``distillex --help`` nothing but typer.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from distillex_client.command_line import run_application
from typer.core import TyperCommand, TyperGroup
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
    "extract": LazyCommand(
        "distillex.command.extract_command", "extract", "Extract entities from files, on this machine's cores.", "serve"
    ),
    "predict": LazyCommand(
        "distillex.command.extract_command", "predict", "Extract with a model, such as one just trained.", "serve"
    ),
    "serve": LazyCommand("distillex_serving.serve_command", "serve", "Start the embedded Triton server.", "serve"),
    "repository": LazyCommand(
        "distillex_serving.repository_command",
        "repository",
        "Write a model repository for a Triton server of your own.",
        "serve",
    ),
    "gate": LazyCommand(
        "distillex_serving.gate_command", "gate", "Run the gate (Envoy) for servers that run elsewhere.", "gate"
    ),
    "triton": LazyCommand(
        "distillex_serving.triton_run_command", "triton", "Start the machine's own tritonserver, closed.", "serve"
    ),
    "tenant": LazyCommand(
        "distillex_serving.tenant_command", "app", "Tenants: their API keys, rates and lexicons.", "serve"
    ),
    "lexicon": LazyCommand(
        "distillex.command.lexicon",
        "app",
        "Build, inspect, seed, push, list, roll back, prune and remove lexicons.",
        "lexicon",
    ),
    "models": LazyCommand(
        "distillex.command.models_command", "app", "List models, print their folders, check and sign them.", "signing"
    ),
    "data": LazyCommand(
        "distillex_training.data_cli", "app", "Convert, export, select, check and count labelled files.", "train"
    ),
    "label": LazyCommand(
        "distillex_training.labelling.label_cli",
        "label",
        "Label raw text with an LLM behind an endpoint, or with a model.",
        "train",
    ),
    "init": LazyCommand(
        "distillex_training.init_cli", "init", "Write commented configurations for your own labelled files.", "train"
    ),
    "runs": LazyCommand("distillex_training.runs_cli", "app", "List, show and compare run directories.", "train"),
    "pretrain": LazyCommand(
        "distillex_training.train_cli", "pretrain", "Train an encoder as a masked language model on raw text.", "train"
    ),
    "finetune": LazyCommand(
        "distillex_training.train_cli", "finetune", "Fine-tune a teacher with lexicon features and a CRF.", "train"
    ),
    "distill": LazyCommand(
        "distillex_training.train_cli",
        "distill",
        "Train a student, from a teacher, gold labels or labels of any source.",
        "train",
    ),
    "average": LazyCommand(
        "distillex_training.cli", "average", "Average the weights of models that started alike.", "train"
    ),
    "calibrate": LazyCommand(
        "distillex_training.cli",
        "calibrate",
        "Calibrate a model's scores to how often its entities are right.",
        "train",
    ),
    "evaluate": LazyCommand(
        "distillex_training.cli",
        "evaluate",
        "Measure a model: F1, errors by kind, seen and unseen entities, lexicons.",
        "train",
    ),
    "compare": LazyCommand(
        "distillex_training.compare_cli",
        "compare",
        "Compare two models: is one better, and where do they differ?",
        "train",
    ),
    "export": LazyCommand(
        "distillex_training.export_cli",
        "export",
        "Export a model to ONNX or TensorRT, with all files that extraction needs.",
        "train",
    ),
}


class LazyGroup(TyperGroup):
    """A Typer group whose sub-commands are imported on use, not for ``--help``."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Names in the order of the table above."""
        return list(COMMANDS)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """List the commands from the table, without importing any of them."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import the command; None for an unknown name.

        Raises
        ------
        typer.Exit
            With status 1 when a package that the command needs is not installed, after saying which.
        """
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        if self._listing:
            return TyperCommand(name=cmd_name, help=lazy.summary)
        try:
            target: Any = getattr(importlib.import_module(lazy.module), lazy.attribute)
        except ModuleNotFoundError as error:
            typer.echo(
                f"distillex {cmd_name}: the Python package {error.name!r} is missing: "
                f"pip install 'distillex[{lazy.extra}]'",
                err=True,
            )
            raise typer.Exit(1) from error
        if not isinstance(target, typer.Typer):
            function, target = target, typer.Typer(add_completion=False)
            target.command(name=cmd_name)(function)
        command = get_command(target)
        command.name = cmd_name
        return command


application = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    # The variables of an exception may hold a token, or an API key.
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from distillex_matcher import __version__

        typer.echo(f"distillex {__version__}")
        raise typer.Exit


@application.callback()
def distillex(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Distillex: extract names, companies, places and more from Chinese text."""


def run() -> None:
    """Entry point of the ``distillex`` command."""
    run_application(application, "distillex")


if __name__ == "__main__":
    run()
