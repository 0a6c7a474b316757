"""``distillex lexicon``: build here, the commands on a server's lexicons from ``distillex_serving``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from distillex_matcher import LexiconError
from distillex_matcher.base_lexicon import build_base_lexicon
from distillex_serving.lexicon_command import lexicon_app as app


@app.command()
def build(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, such as lexicons/base/1.lex.")],
    word_lists: Annotated[
        list[Path] | None,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="Typed word lists, WORD<TAB>TYPE[<TAB>WEIGHT] a line, laid over jieba's dictionary in this order; "
            "type null removes a word.",
        ),
    ] = None,
    dictionary: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Dictionary in jieba's format instead of the jieba package's own.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name written into the file.")] = "base",
    version: Annotated[int, typer.Option(min=1, help="Version written into the file.")] = 1,
) -> None:
    """Build the base lexicon from jieba's dictionary and typed word lists (same inputs, same bytes)."""
    try:
        lexicon = build_base_lexicon(word_lists or (), dictionary=dictionary, name=name, version=version)
        output.parent.mkdir(parents=True, exist_ok=True)
        lexicon.save(output)
    except (LexiconError, OSError) as error:
        typer.echo(f"distillex lexicon build: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(
        f"{output}: {len(lexicon):,} words, {len(lexicon.types)} types, {output.stat().st_size:,} bytes, "
        f"checksum {lexicon.checksum}"
    )
