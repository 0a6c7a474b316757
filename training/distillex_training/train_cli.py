"""Commands ``distillex pretrain | finetune | distill``: a run is checked before torch is imported."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from distillex.command.options import EXIT_PRECONDITION, fail

from distillex_training.config import PretrainRun, StudentRun, TeacherRun, read_config
from distillex_training.config.shipped import find_config
from distillex_training.console import log_to_standard_error, use_threads
from distillex_training.errors import ConfigError

if find_spec("torch") is None:  # it is imported later, but a run needs it
    raise ModuleNotFoundError("No module named 'torch'", name="torch")

T = TypeVar("T", PretrainRun, StudentRun, TeacherRun)

Config = Annotated[
    Path,
    typer.Argument(
        help="YAML file, such as 'distillex init' writes, or the name of one that comes with distillex, "
        "such as student-own-data. The documentation (Configuration) lists its keys."
    ),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Run directory for checkpoint, metrics and best/; one per run.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key: KEY=VALUE, such as --set loop.seed=2; repeatable.")
]
Threads = Annotated[int, typer.Option(help="CPU threads; 0: PyTorch's choice, at most one per usable core.")]
MaxSteps = Annotated[
    int | None,
    typer.Option(min=1, help="Stop with a checkpoint after this many more steps; the same command continues."),
]
ResumeWithChanges = Annotated[
    bool,
    typer.Option(
        "--resume-with-changes",
        help="Continue a run with other settings or data than it was started with, and report the changes.",
    ),
]


def pretrain(
    config: Config,
    output: Output,
    init: Annotated[
        str | None, typer.Option(help="Encoder to start from (name or directory); overrides the file's `init`.")
    ] = None,
    setting: Settings = None,
    threads: Threads = 0,
    max_steps: MaxSteps = None,
    resume_with_changes: ResumeWithChanges = False,
) -> None:
    """Train an encoder as a masked language model on raw text. Resumes where it was interrupted."""
    overrides = _overrides(setting) | ({"init": init} if init is not None else {})
    checked = _checked(config, PretrainRun, overrides)
    from distillex_training.pretrain import pretrain as run

    use_threads(threads)
    _run(lambda: run(checked, output, max_steps=max_steps, resume_with_changes=resume_with_changes), output)


def finetune(
    config: Config,
    output: Output,
    setting: Settings = None,
    threads: Threads = 0,
    max_steps: MaxSteps = None,
    resume_with_changes: ResumeWithChanges = False,
) -> None:
    """Fine-tune a teacher: a pretrained encoder with lexicon features and a CRF. Resumes where it was interrupted."""
    checked = _checked(config, TeacherRun, _overrides(setting))
    from distillex_training.finetune import finetune as run

    use_threads(threads)
    _run(lambda: run(checked, output, max_steps=max_steps, resume_with_changes=resume_with_changes), output)


def distill(
    config: Config,
    output: Output,
    setting: Settings = None,
    threads: Threads = 0,
    max_steps: MaxSteps = None,
    resume_with_changes: ResumeWithChanges = False,
) -> None:
    """Train a student, from a teacher, gold labels or labels of any source. Resumes where it was interrupted."""
    checked = _checked(config, StudentRun, _overrides(setting))
    from distillex_training.distill import distill as run

    use_threads(threads)
    _run(lambda: run(checked, output, max_steps=max_steps, resume_with_changes=resume_with_changes), output)


def _checked(config: Path, kind: type[T], overrides: dict[str, str]) -> T:
    """Read a configuration and check what it names, in seconds."""
    from distillex_matcher import LexiconError

    from distillex_training.errors import DataError, ModelDirectoryError
    from distillex_training.preflight import check_run

    log_to_standard_error()
    try:
        path = find_config(config)
        run = read_config(path, kind, overrides)
        try:
            check_run(run, path.parent)
        except ConfigError as error:
            raise ConfigError.of(path, [("", line) for line in str(error).splitlines()]) from None
    except (ConfigError, DataError, LexiconError, ModelDirectoryError, OSError) as error:
        fail("training", str(error), EXIT_PRECONDITION)
    return run


def _overrides(settings: list[str] | None) -> dict[str, str]:
    given = [item.partition("=") for item in settings or []]
    wrong = [repr(item) for item, separator, _ in given if not separator]
    if wrong:
        said = f"{', '.join(wrong)} {'are' if len(wrong) > 1 else 'is'} not KEY=VALUE"
        fail("--set", f"{said}; such as --set loop.epochs=3 is accepted", EXIT_PRECONDITION)
    return {key: value for key, _, value in given}


def _run(train: Callable[[], dict[str, float]], output: Path) -> None:
    from distillex_matcher import LayoutError, LexiconError

    from distillex_training.errors import (
        DataError,
        DivergenceError,
        EncoderError,
        ModelDirectoryError,
        NotFiniteError,
        RunDirectoryError,
    )
    from distillex_training.run_state import LAST

    refusals = (
        *(ConfigError, DataError, DivergenceError, EncoderError),
        *(LayoutError, LexiconError, ModelDirectoryError, NotFiniteError, RunDirectoryError),
    )
    try:
        best = train()
    except refusals as error:
        fail("training", str(error))
    except KeyboardInterrupt:
        fail("training", f"interrupted; the same command goes on from {output / 'checkpoint.pt'}", 130)
    if not best:
        typer.echo(f"stopped before the first evaluation; the same command goes on from {output / 'checkpoint.pt'}")
        return
    if LAST in best:
        typer.echo(f"no development file: the last epoch ({best[LAST]:g}) is kept; model in {output / 'best'}")
        return
    metric, name = ("f1", "development F1") if "f1" in best else ("masked_accuracy", "held-out masked accuracy")
    typer.echo(f"best {name} {best[metric]:.4f}; model in {output / 'best'}")
