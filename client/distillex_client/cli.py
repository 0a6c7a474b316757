"""The ``distillex-client`` command."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from distillex_client.entity import Entity
from distillex_client.errors import ExtractorError
from distillex_client.extractor import Extractor
from distillex_client.render import render, render_terminal

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Extract entities through a Distillex server.")

EXIT_BAD_RECORDS = 1
EXIT_FAILED = 2

Url = Annotated[str, typer.Option("--url", help="HOST:PORT of the server's gRPC.")]


class OutputFormat(str, enum.Enum):
    """Forms of output."""

    JSONL = "jsonl"
    HTML = "html"
    TABLE = "table"


@app.command()
def extract(
    files: Annotated[list[str], typer.Argument(help="Text files, UTF-8, a document each; - reads standard input.")],
    url: Url = "127.0.0.1:8001",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here instead of standard output.")
    ] = None,
    output_format: Annotated[
        OutputFormat,
        typer.Option("--format", "-f", help="jsonl: a document a line; html: a page with highlighted entities; table."),
    ] = OutputFormat.JSONL,
    lines: Annotated[bool, typer.Option("--lines", help="Each line of a file is a document of its own.")] = False,
    lexicon: Annotated[
        Path | None, typer.Option(help="Words for this run alone: WORD<TAB>TYPE a line; type null hides a word.")
    ] = None,
    lexicon_name: Annotated[str | None, typer.Option(help="A lexicon installed on the server.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for one answer.")] = 30.0,
) -> None:
    """Extract entities of documents of any length.

    Exit codes: 0 all read, 1 some documents could not be read (named on standard error), 2 the server failed.
    """
    words = _read_lexicon(lexicon) if lexicon is not None else None
    unreadable = 0
    stream = output.open("w", encoding="utf-8", newline="\n") if output is not None else sys.stdout
    try:
        with Extractor(url, timeout_s=timeout) as extractor:
            for source, document in _documents(files, lines):
                if document is None:
                    unreadable += 1
                    continue
                entities = extractor.extract_document(document, lexicon=words, lexicon_name=lexicon_name)
                if output_format is OutputFormat.HTML:
                    stream.write(render(document, entities, title=source))
                elif output_format is OutputFormat.TABLE:
                    _print_table(document, entities)
                else:
                    record = {"source": source, "entities": [dataclasses.asdict(entity) for entity in entities]}
                    stream.write(json.dumps(record, ensure_ascii=False) + "\n")
    except ExtractorError as error:
        _fail(f"{type(error).__name__}: {error}")
    finally:
        if output is not None:
            stream.close()
    if unreadable:
        raise typer.Exit(EXIT_BAD_RECORDS)


@app.command()
def ping(url: Url = "127.0.0.1:8001") -> None:
    """Tell whether the server answers; exit code 0 if it does."""
    with Extractor(url) as extractor:
        ready = extractor.is_ready()
    typer.echo(f"{url}: {'ready' if ready else 'not ready'}")
    raise typer.Exit(0 if ready else EXIT_FAILED)


def _documents(files: list[str], by_line: bool) -> Iterator[tuple[str, str | None]]:
    for name in files:
        try:
            content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            text = content.decode("utf-8-sig")
        except OSError as error:
            typer.echo(f"{name}: {error.strerror}", err=True)
            yield name, None
            continue
        except UnicodeDecodeError as error:
            typer.echo(f"{name}: not UTF-8 (byte {error.start})", err=True)
            yield name, None
            continue
        if not by_line:
            yield name, text
            continue
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield f"{name}:{number}", line.rstrip("\r")


def _read_lexicon(path: Path) -> dict[str, str | None]:
    words: dict[str, str | None] = {}
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{path}: {error}")
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.rstrip("\r").split("\t")
        if len(fields) < 2 or not fields[0] or not fields[1]:
            _fail(f"{path}:{number}: {line!r} is not WORD<TAB>TYPE")
        words[fields[0]] = None if fields[1] in ("null", "-") else fields[1]
    return words


def _print_table(document: str, entities: list[Entity]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(render_terminal(document, entities))
    table = Table("start", "end", "type", "text", "score")
    for entity in entities:
        table.add_row(str(entity.start), str(entity.end), entity.type, entity.text, f"{entity.score:.3f}")
    console.print(table)


def _fail(message: str) -> NoReturn:
    typer.echo(f"distillex-client: {message}", err=True)
    raise typer.Exit(EXIT_FAILED)


def run() -> None:
    """Entry point of the ``distillex-client`` command."""
    app()
