"""Commands ``distillex pretrain | finetune | distill | average | calibrate | evaluate``; each imports what it needs."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import torch
import typer
from distillex_matcher.cores import usable_cores
from rich.logging import RichHandler

if TYPE_CHECKING:
    from distillex_training.config import Corpus

Config = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="YAML file, such as training/configs/*.yaml.")
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Run directory: checkpoint, metrics, best/; of one run alone.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE over the file, such as --set loop.seed=2; repeatable.")
]
Threads = Annotated[int, typer.Option(help="CPU threads; 0: torch's choice, at most one a usable core.")]
MaxSteps = Annotated[
    int | None, typer.Option(min=1, help="Stop with a checkpoint after so many more steps; the same command goes on.")
]


def pretrain(
    config: Config,
    output: Output,
    init: Annotated[
        str | None, typer.Option(help="Encoder to go on from (name or directory); wins over the file's `init`.")
    ] = None,
    setting: Settings = None,
    threads: Threads = 0,
    max_steps: MaxSteps = None,
) -> None:
    """Train an encoder as a masked language model on raw text. Resumes where it was interrupted."""
    from distillex_training.config import PretrainRun, read_config
    from distillex_training.pretrain import pretrain as run

    _prepare(threads)
    overrides = _overrides(setting) | ({"init": init} if init is not None else {})
    _run(lambda: run(read_config(config, PretrainRun, overrides), output, max_steps=max_steps), output)


def finetune(
    config: Config, output: Output, setting: Settings = None, threads: Threads = 0, max_steps: MaxSteps = None
) -> None:
    """Fine-tune a teacher: a pretrained encoder with lexicon features and a CRF. Resumes where it was interrupted."""
    from distillex_training.config import TeacherRun, read_config
    from distillex_training.finetune import finetune as run

    _prepare(threads)
    _run(lambda: run(read_config(config, TeacherRun, _overrides(setting)), output, max_steps=max_steps), output)


def distill(
    config: Config, output: Output, setting: Settings = None, threads: Threads = 0, max_steps: MaxSteps = None
) -> None:
    """Train a student, from a teacher, gold labels or labels of any source. Resumes where it was interrupted."""
    from distillex_training.config import StudentRun, read_config
    from distillex_training.distill import distill as run

    _prepare(threads)
    _run(lambda: run(read_config(config, StudentRun, _overrides(setting)), output, max_steps=max_steps), output)


def average(
    models: Annotated[list[Path], typer.Argument(exists=True, file_okay=False, help="Model directories.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model directory to write.")],
    half_precision: Annotated[bool, typer.Option("--half-precision", help="Store the weights as float16.")] = False,
) -> None:
    """Write the mean of the weights of models that began with the same one, such as runs of several seeds."""
    from distillex_matcher import LayoutError

    from distillex_training.average import average as run
    from distillex_training.config import ConfigError
    from distillex_training.models.directory import ModelDirectoryError

    try:
        run(models, output, half_precision=half_precision)
    except (ConfigError, LayoutError, ModelDirectoryError, OSError) as error:
        _fail("average", str(error))
    typer.echo(f"the mean of {len(models)} models: {output}")


def calibrate(
    model: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Model directory.")],
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA",
            help="Labelled JSON Lines, not those of the training; FILE=DECLARATION where a declaration (YAML) says "
            "what its types mean. Of several files each counts alike.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model directory to write.")],
    base: Annotated[Path, typer.Option(help="Compiled base lexicon.")] = Path("lexicons/base/1.lex"),
    half_precision: Annotated[bool, typer.Option("--half-precision", help="Store the weights as float16.")] = False,
    prefer: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1000,
            help="What trust `prefer` in a word adds, of the scaled scores (training/evidence/measure_trust.py); by "
            "default the model's own, or 2.",
        ),
    ] = None,
) -> None:
    """Scale a model's scores so that entities of score 0.8 are right about eight times in ten; what is found stays."""
    from distillex_matcher import LexiconError

    from distillex_training.calibrate import calibrate as run

    _prepare(0)
    try:
        corpora = [_corpus(each) for each in data]
        done = run(model, corpora, base, output, half_precision=half_precision, prefer=prefer)
    except (LexiconError, OSError, ValueError) as error:
        _fail("calibrate", str(error))
    for file in done.files:
        for line in file.read.lines():
            typer.echo(line)
    typer.echo(f"temperature {done.temperature:.3f}; model in {output}")
    typer.echo("\n| data | entities | scores | mean | precision | calibration error |\n|---|---|---|---|---|---|")
    for file in done.files:
        for name, scores in (("before", file.before), ("after", file.after)):
            figures = (scores.mean_score, scores.precision, scores.calibration_error)
            row = (str(file.read.report.path), f"{len(scores.scores):,}", name, *(f"{each:.4f}" for each in figures))
            typer.echo(f"| {' | '.join(row)} |")


def _corpus(argument: str) -> Corpus:
    """Read FILE or FILE=DECLARATION; a file whose own name holds the sign is itself."""
    from distillex_training.config import Corpus

    path, _, declaration = (argument, "", "") if Path(argument).exists() else argument.partition("=")
    for each in (path, declaration):
        if each and not Path(each).is_file():
            _fail("calibrate", f"{each}: no such file; DATA is FILE or FILE=DECLARATION")
    return Corpus(Path(path), Path(declaration) if declaration else None)


def evaluate(
    model: Annotated[
        Path,
        typer.Argument(
            exists=True,
            help="A model's folder. One that was trained and exported there is measured as it was trained; for the "
            "exported network give FOLDER/model.onnx.",
        ),
    ],
    data: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Labelled JSON Lines.")],
    declaration: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="YAML file that says what the data's types mean among the model's (training/corpora/*.yaml). Types "
            "that the model does not have are left out and counted.",
        ),
    ] = None,
    base: Annotated[
        Path | None, typer.Option(help="Compiled base lexicon; by default the one that comes with distillex.")
    ] = None,
    train: Annotated[
        Path | None, typer.Option(help="The training file: entities whose surface is not in it are unseen.")
    ] = None,
    lexicon: Annotated[Path | None, typer.Option(help="A domain lexicon (TSV) as one more condition.")] = None,
    seed: Annotated[int, typer.Option(help="Of the wrong entries.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
    reliability: Annotated[
        Path | None,
        typer.Option(help="Draw how often entities of a score are right, with the base lexicon: a file.svg or .png."),
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write a page of the sentences with an error, with the base lexicon.")
    ] = None,
) -> None:
    """Measure a model: F1 per type and domain, errors by kind, calibration, how it uses a lexicon on unseen entities.

    The time is that of five runs of the model over the data, six with --lexicon, whatever the file.
    """
    from distillex_matcher import Lexicon, LexiconError

    from distillex_training.data.labelled import read_labelled
    from distillex_training.data.measured import read_measured
    from distillex_training.evaluate import NotFiniteError
    from distillex_training.evaluation_page import evaluation_page
    from distillex_training.evaluation_report import figures, report_lines, with_base
    from distillex_training.lexicon_evaluation import evaluate_conditions
    from distillex_training.opened_model import open_base, open_model
    from distillex_training.reliability import PICTURES, draw_reliability

    _prepare(0)
    read = (model if model.is_file() else None, data, declaration, base, train, lexicon)
    _check_writable("evaluate", "--html", html_file, read)
    _check_writable("evaluate", "--json", json_file, read)
    _check_writable("evaluate", "--reliability", reliability, read)
    if reliability is not None and reliability.suffix not in PICTURES:
        _fail("evaluate", f"--reliability: {reliability} is no picture; accepted endings: {', '.join(PICTURES)}")
    try:
        opened = open_model(model)
        measured = read_measured(data, declaration, opened.entity_types, max_length=opened.longest_text)
        known: set[str] = set()
        if train is not None:
            known = {s.text[e.start : e.end] for s in read_labelled(train)[0] for e in s.spans}
        domain = Lexicon.from_tsv(lexicon, name=lexicon.stem) if lexicon is not None else None
        results = evaluate_conditions(
            *(opened.layout, opened.emissions_of, opened.decoder, measured.sentences, known, open_base(base)),
            domain=domain,
            seed=seed,
            groups=measured.groups,
            trimmed=measured.trim,
        )
    except NotFiniteError as error:
        _fail("evaluate", f"{model}: {error}")
    except (LexiconError, OSError, ValueError) as error:
        _fail("evaluate", str(error))
    for line in report_lines(measured, results):
        typer.echo(line)
    if json_file is not None:
        text = json.dumps(figures(model, measured, results), ensure_ascii=False, indent=1)
        json_file.write_text(text + "\n", encoding="utf-8")
    if reliability is not None:
        draw_reliability(with_base(results).measures.reliability, reliability)
    if html_file is not None:
        html_file.write_text(evaluation_page(model, measured, with_base(results)), encoding="utf-8", newline="")


def _prepare(threads: int) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(show_path=False)])
    logging.getLogger("distillex").setLevel(logging.INFO)
    torch.set_num_threads(threads or min(torch.get_num_threads(), usable_cores()))


def _check_writable(command: str, option: str, path: Path | None, inputs: Sequence[Path | None]) -> None:
    """Refuse a file that could not be written or is read, before the work that it is to hold the outcome of."""
    from distillex_training.data.kept_inputs import is_input

    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        _fail(command, f"{option}: {path} cannot be written: {path.parent} is no folder, or {path.name} is one")
    if path is not None and is_input(path, inputs):
        _fail(command, f"{option}: {path} is an input, and would be lost: give another file")


def _overrides(settings: list[str] | None) -> dict[str, str]:
    overrides = {}
    for item in settings or []:
        key, separator, value = item.partition("=")
        if not separator:
            _fail("--set", f"{item!r} is not KEY=VALUE")
        overrides[key] = value
    return overrides


def _run(train: Any, output: Path) -> None:
    from distillex_matcher import LayoutError, LexiconError

    from distillex_training.config import ConfigError
    from distillex_training.data.labelled import DataError
    from distillex_training.evaluate import NotFiniteError
    from distillex_training.models.directory import ModelDirectoryError
    from distillex_training.models.encoders import EncoderError
    from distillex_training.run_record import RunDirectoryError
    from distillex_training.run_state import LAST
    from distillex_training.training_loop import DivergenceError

    refusals = (
        *(ConfigError, DataError, DivergenceError, EncoderError),
        *(LayoutError, LexiconError, ModelDirectoryError, NotFiniteError, RunDirectoryError),
    )
    try:
        best = train()
    except refusals as error:
        _fail("training", str(error))
    except KeyboardInterrupt:
        _fail("training", f"interrupted; the same command goes on from {output / 'checkpoint.pt'}", 130)
    if not best:
        typer.echo(f"stopped before the first evaluation; the same command goes on from {output / 'checkpoint.pt'}")
        return
    if LAST in best:
        typer.echo(f"no development file: the last epoch ({best[LAST]:g}) is kept; model in {output / 'best'}")
        return
    metric, name = ("f1", "development F1") if "f1" in best else ("masked_accuracy", "held-out masked accuracy")
    typer.echo(f"best {name} {best[metric]:.4f}; model in {output / 'best'}")


def _fail(command: str, message: str, code: int = 1) -> NoReturn:
    typer.echo(f"distillex {command}: {message}", err=True)
    raise typer.Exit(code)
