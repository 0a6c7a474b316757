"""Commands ``distillex average | calibrate | evaluate``; each imports what it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from distillex.command.options import EXIT_PRECONDITION, fail

from distillex_training.console import check_outcome, log_to_standard_error, use_threads
from distillex_training.data.labelled import read_labelled
from distillex_training.data.measured import read_gold
from distillex_training.preconditions import (
    check_alike,
    check_file,
    check_model_output,
    exported_network,
    read_base,
    types_of_directory,
    types_of_model,
    wrong_use,
)
from distillex_training.reliability import PICTURES
from distillex_training.weight_storage import Storage

if TYPE_CHECKING:
    from distillex_training.config import Corpus


Base = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="Compiled base lexicon; default: the shipped one."),
]


Weights = Annotated[
    Storage,
    typer.Option(
        help="How the weights are stored: float16 takes half of the space; int8-tables, for students, a third, and "
        "exports the same network for CPUs."
    ),
]


def average(
    models: Annotated[list[Path], typer.Argument(exists=True, file_okay=False, help="Model directories.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model directory to write.")],
    weights: Weights = Storage.FLOAT32,
) -> None:
    """Average the weights of models that started from the same one, such as runs of several seeds."""
    with wrong_use("average"):
        check_model_output(output, models)
        check_alike(models)

    from distillex_training.average import average as run

    with wrong_use("average"):
        run(models, output, storage=weights)
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
    base: Base = None,
    weights: Weights = Storage.FLOAT32,
    prefer: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1000,
            help="What the trust `prefer` adds to the scaled scores; default: the model's value, or 2.",
        ),
    ] = None,
) -> None:
    """Scale a model's scores so that entities of score 0.8 are right about eight times in ten; what is found stays."""
    log_to_standard_error()
    corpora = [_corpus(each) for each in data]
    with wrong_use("calibrate"):
        types = types_of_directory(model)
        check_model_output(output, [model])
        gold = [read_gold(each.path, each.declaration, types) for each in corpora]
        lexicon = read_base(base)

    from distillex_training.calibrate import calibrate_on

    use_threads()
    with wrong_use("calibrate"):
        done = calibrate_on(gold, model, lexicon, output, storage=weights, prefer=prefer)
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
            fail("calibrate", f"{each}: no such file; DATA is FILE or FILE=DECLARATION", EXIT_PRECONDITION)
    return Corpus(Path(path), Path(declaration) if declaration else None)


def evaluate(
    model: Annotated[
        Path,
        typer.Argument(
            exists=True,
            help="A model's folder. If it holds both weights and an exported network, the weights are "
            "measured; give FOLDER/model.onnx for the network.",
        ),
    ],
    data: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Labelled JSON Lines.")],
    declaration: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="YAML file that maps the data's types to the model's (`types: {PER: name}`). Types that the model "
            "lacks are left out and counted.",
        ),
    ] = None,
    base: Base = None,
    train: Annotated[
        Path | None, typer.Option(help="The training file: entities whose text is not in it count as unseen.")
    ] = None,
    lexicon: Annotated[Path | None, typer.Option(help="A domain lexicon (TSV) to measure with as well.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the wrong entries.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
    reliability: Annotated[
        Path | None,
        typer.Option(help="Draw how often entities of a score are right, with the base lexicon: a file.svg or .png."),
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write a page of the sentences with an error, with the base lexicon.")
    ] = None,
) -> None:
    """Measure a model: F1 per type and domain, errors by kind, calibration, how it uses a lexicon on unseen entities.

    It runs the model over the data five times, six with --lexicon.
    """
    from distillex_matcher import Lexicon, LexiconError

    log_to_standard_error()
    read = (model if model.is_file() else None, data, declaration, base, train, lexicon)
    for option, path in (("--html", html_file), ("--json", json_file), ("--reliability", reliability)):
        check_outcome("evaluate", option, path, read)
    with wrong_use("evaluate"):
        if reliability is not None and reliability.suffix not in PICTURES:
            raise ValueError(f"--reliability: {reliability} is no picture; accepted endings: {', '.join(PICTURES)}")
        gold = read_gold(data, declaration, types_of_model(model))
        check_file("--train", train)
        check_file("--lexicon", lexicon)
        known: set[str] = set()
        if train is not None:
            known = {s.text[e.start : e.end] for s in read_labelled(train)[0] for e in s.spans}
        domain = Lexicon.from_tsv(lexicon, name=lexicon.stem) if lexicon is not None else None
        lexicon_of_words = read_base(base)

    from distillex_training.errors import NotFiniteError
    from distillex_training.evaluation_page import evaluation_page
    from distillex_training.evaluation_report import figures, report_lines, with_base
    from distillex_training.lexicon_evaluation import evaluate_conditions
    from distillex_training.models.directory import other_lexicon
    from distillex_training.opened_model import open_model
    from distillex_training.reliability import draw_reliability

    use_threads()
    try:
        opened = open_model(model)
        measured = gold.within(opened.longest_text)
        if exported_network(model) is None and (note := other_lexicon(model, lexicon_of_words)):
            typer.echo(note, err=True)
        results = evaluate_conditions(
            *(opened.layout, opened.emissions_of, opened.decoder, measured.sentences, known, lexicon_of_words),
            domain=domain,
            seed=seed,
            groups=measured.groups,
            trimmed=measured.trim,
        )
    except NotFiniteError as error:
        fail("evaluate", f"{model}: {error}")
    except (LexiconError, OSError, ValueError) as error:
        fail("evaluate", str(error), EXIT_PRECONDITION)
    for line in report_lines(measured, results):
        typer.echo(line)
    if json_file is not None:
        text = json.dumps(figures(model, measured, results), ensure_ascii=False, indent=1)
        json_file.write_text(text + "\n", encoding="utf-8")
    if reliability is not None:
        draw_reliability(with_base(results).measures.reliability, reliability)
    if html_file is not None:
        html_file.write_text(evaluation_page(model, measured, with_base(results)), encoding="utf-8", newline="")
