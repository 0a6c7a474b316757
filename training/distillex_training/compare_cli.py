"""Command ``distillex compare``; what it needs is imported on use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from distillex.command.options import fail

from distillex_training.console import check_outcome, log_to_standard_error
from distillex_training.preconditions import NETWORK_SUFFIX, check_file, check_lexicon, types_of_model, wrong_use

if TYPE_CHECKING:
    from distillex_training.data.measured import MeasuredFile
    from distillex_training.data.records import Record
    from distillex_training.opened_model import OpenedModel

UNLIMITED = 1 << 40
"""Longest text where no model has a limit."""
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

    Sentences are drawn again and again with replacement, the same for both (docs/how-to/training.md, "Compare").
    """
    from distillex.models import find_model
    from distillex_client.errors import ModelNotFound
    from distillex_matcher import LexiconError

    log_to_standard_error()
    with wrong_use("compare"):
        check_file("DATA", data)
        check_file("--declaration", declaration)
        for given in (first, second):
            source = Path(given)
            if not source.exists():
                find_model(given)
            elif source.is_dir() or source.suffix == NETWORK_SUFFIX:
                types_of_model(source)
        check_lexicon(base)

    from distillex_training.comparison import compare as run
    from distillex_training.comparison import comparison_figures, comparison_lines, comparison_page
    from distillex_training.opened_model import OpenedModel, open_base, open_model
    from distillex_training.predictions import align, read_found

    read = (Path(first), Path(second), data, declaration, base)
    for option, path in (("--json", json_file), ("--html", html_file)):
        check_outcome("compare", option, path, [each for each in read if each is not None and each.is_file()])

    def opened(given: str) -> OpenedModel | list[Record]:
        path = Path(given)
        if not path.exists():
            return open_model(find_model(given))
        return open_model(path) if path.is_dir() or path.suffix == ".onnx" else read_found(path, entities_field)

    try:
        sources = opened(first), opened(second)
        file = _read(data, declaration, sources)
        texts = [sentence.text for sentence in file.sentences]
        lexicon = open_base(base)
        one, other = (
            each.predict(texts, lexicon) if isinstance(each, OpenedModel) else align(each, file.sentences, data)
            for each in sources
        )
        comparison = run(file, (first, second), (one, other), resamples=resamples, seed=seed)
    except (LexiconError, ModelNotFound, OSError, ValueError) as error:
        fail("compare", str(error))
    for line in comparison_lines(comparison):
        typer.echo(line)
    if json_file is not None:
        text = json.dumps(comparison_figures(comparison), ensure_ascii=False, indent=1)
        json_file.write_text(text + "\n", encoding="utf-8")
    if html_file is not None:
        html_file.write_text(comparison_page(comparison), encoding="utf-8", newline="")


def _read(data: Path, declaration: Path | None, sources: Sequence[OpenedModel | list[Record]]) -> MeasuredFile:
    """Read the data in terms of all types that may be found, its texts as long as all models read."""
    from distillex_training.data.declaration import read_declaration
    from distillex_training.data.measured import read_measured
    from distillex_training.data.records import read_records
    from distillex_training.opened_model import OpenedModel

    limit = UNLIMITED
    types: set[str] = set()
    for source in sources:
        if isinstance(source, OpenedModel):
            limit = min(limit, source.longest_text)
            types |= set(source.entity_types)
            continue
        types |= {span.type for record in source for span in record.spans}
        # A file does not tell what else could have been found.
        types |= read_records(data).types if declaration is None else set(read_declaration(declaration).model_types)
    return read_measured(data, declaration, sorted(types), max_length=limit)
