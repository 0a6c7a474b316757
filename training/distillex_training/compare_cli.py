"""Command ``distillex compare``; what it needs is imported on use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from distillex_training.console import check_outcome, log_to_standard_error
from distillex_training.data.labelled import UNLIMITED
from distillex_training.data.measured import GoldFile, read_gold
from distillex_training.data.records import Record
from distillex_training.preconditions import NETWORK_SUFFIX, read_base, types_of_model, wrong_use
from distillex_training.predictions import align, read_found

SOURCE = "a model's folder, its network, a student's name, or a file that 'distillex predict' wrote"


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help=f"The one: {SOURCE}.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Model B, given like A.")],
    data: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Labelled JSON Lines.")],
    declaration: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="YAML file that maps the data's types, as for 'distillex evaluate'."
        ),
    ] = None,
    base: Annotated[Path | None, typer.Option(help="Compiled base lexicon; default: the shipped one.")] = None,
    entities_field: Annotated[
        str | None,
        typer.Option(help="Key of the entities in a file of predictions; default: recognised if only one fits."),
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, max=1_000_000, help="Resamples of the bootstrap.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures, and the sentences in which they differ.")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write a page of the sentences in which they differ.")
    ] = None,
) -> None:
    """Compare two models: F1 of both, a paired bootstrap of the difference, and where they differ.

    Sentences are drawn again and again with replacement, the same for both (the documentation, Train, "Compare").
    """
    from distillex.models import find_model

    log_to_standard_error()
    read = (Path(first), Path(second), data, declaration, base)
    for option, path in (("--json", json_file), ("--html", html_file)):
        check_outcome("compare", option, path, [each for each in read if each is not None and each.is_file()])
    with wrong_use("compare"):
        sources: list[Path | list[Record]] = []
        for given in (first, second):
            source = Path(given) if Path(given).exists() else find_model(given)
            is_model = source.is_dir() or source.suffix == NETWORK_SUFFIX
            sources.append(source if is_model else read_found(source, entities_field))
        gold = _gold(data, declaration, sources)
        lexicon = read_base(base)

    from distillex_training.comparison import compare as run
    from distillex_training.comparison import comparison_figures, comparison_lines, comparison_page
    from distillex_training.opened_model import OpenedModel, open_model

    with wrong_use("compare"):
        opened = [open_model(each) if isinstance(each, Path) else each for each in sources]
        limits = [each.longest_text for each in opened if isinstance(each, OpenedModel)]
        file = gold.within(min(limits, default=UNLIMITED))
        texts = [sentence.text for sentence in file.sentences]
        one, other = (
            each.predict(texts, lexicon) if isinstance(each, OpenedModel) else align(each, file.sentences, data)
            for each in opened
        )
        comparison = run(file, (first, second), (one, other), resamples=resamples, seed=seed)
    for line in comparison_lines(comparison):
        typer.echo(line)
    if json_file is not None:
        text = json.dumps(comparison_figures(comparison), ensure_ascii=False, indent=1)
        json_file.write_text(text + "\n", encoding="utf-8")
    if html_file is not None:
        html_file.write_text(comparison_page(comparison), encoding="utf-8", newline="")


def _gold(data: Path, declaration: Path | None, sources: Sequence[Path | list[Record]]) -> GoldFile:
    """Read the data in terms of all types that may be found."""
    types: set[str] = set()
    for source in sources:
        if isinstance(source, Path):
            types |= set(types_of_model(source))
        else:
            types |= {span.type for record in source for span in record.spans}
    # A file does not tell what else could have been found.
    return read_gold(data, declaration, sorted(types), others=not all(isinstance(each, Path) for each in sources))
