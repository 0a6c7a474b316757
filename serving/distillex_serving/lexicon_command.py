"""Commands ``distillex lexicon inspect | push | list | rollback``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from distillex_matcher import FeatureLayout, LayoutError, Lexicon, LexiconError
from distillex_matcher.lexicon_store import LexiconStore
from rich.console import Console
from rich.table import Table

from distillex_serving.command_options import LexiconDirectory, TokenFile, admin_token, fail
from distillex_serving.lexicon_client import LexiconServerError, compile_word_list, send_command
from distillex_serving.locations import default_lexicon_directory, default_repository
from distillex_serving.preconditions import PreconditionError
from distillex_serving.students import DEFAULT_STUDENT, find_student

lexicon_app = typer.Typer(no_args_is_help=True, help="Build, inspect, push, list and roll back lexicons.")

Url = Annotated[str | None, typer.Option("--url", help="HOST:PORT of a running server's gRPC; needs its admin token.")]


@lexicon_app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A compiled lexicon (.lex) or a typed word list (.tsv).")],
    words: Annotated[int, typer.Option(help="Show so many entries.")] = 5,
) -> None:
    """Show what a lexicon holds."""
    try:
        lexicon = Lexicon.load(file) if file.suffix == ".lex" else Lexicon.from_tsv(file)
    except LexiconError as error:
        fail("lexicon inspect", str(error))
    counts = Counter(lexicon[i].type for i in range(len(lexicon)))
    typer.echo(
        f"{file}: {len(lexicon):,} words, name {lexicon.name or '-'}, version {lexicon.version}, "
        f"{lexicon.size_bytes:,} bytes, checksum {lexicon.checksum}"
    )
    table = Table("type", "words")
    for kind, count in counts.most_common():
        table.add_row("(hidden)" if kind is None else kind, f"{count:,}")
    Console().print(table)
    for entry in (lexicon[i] for i in range(min(words, len(lexicon)))):
        typer.echo(f"{entry.word}\t{entry.type or 'null'}\t{entry.weight:.4f}")


@lexicon_app.command()
def push(
    name: Annotated[str, typer.Argument(help="Name of the lexicon: a-z, 0-9, '_' and '-'.")],
    file: Annotated[Path, typer.Argument(help="Typed word list, WORD<TAB>TYPE[<TAB>WEIGHT] a line, or a .lex file.")],
    url: Url = None,
    lexicon_dir: LexiconDirectory = None,
    admin_token_file: TokenFile = None,
    student: Annotated[
        str, typer.Option(help="Without --url: the student whose types the words may bear.")
    ] = DEFAULT_STUDENT,
) -> None:
    """Compile a word list, check it, and install it as a new version; a running server uses it from the next batch on.

    With --url it goes through the server, else into the lexicon directory (which the server reads).
    """
    try:
        content = compile_word_list(file, name)
        if url is not None:
            result = send_command(url, admin_token(admin_token_file) or "", {"action": "push", "name": name}, content)
            version, count = result["version"], result["words"]
        else:
            layout = FeatureLayout.load((find_student(student) or default_repository()) / "preprocess" / "1")
            installed = _store(lexicon_dir).install(name, content, layout.featurizer().check_types)
            version, count = installed.version, len(installed.lexicon)
    except (LexiconError, LayoutError, LexiconServerError, PreconditionError, OSError) as error:
        fail("lexicon push", str(error))
    typer.echo(f"{name}@{version}: {count:,} words in use")


@lexicon_app.command("list")
def list_lexicons(url: Url = None, lexicon_dir: LexiconDirectory = None, admin_token_file: TokenFile = None) -> None:
    """List the installed lexicons and their versions."""
    try:
        if url is not None:
            rows = send_command(url, admin_token(admin_token_file) or "", {"action": "list"})["lexicons"]
        else:
            store = _store(lexicon_dir)
            rows = [
                {
                    "name": name,
                    "version": store.current_version(name),
                    "versions": store.versions(name),
                    "words": len(store.current(name).lexicon),
                }
                for name in store.names()
            ]
    except (LexiconError, LexiconServerError, OSError) as error:
        fail("lexicon list", str(error))
    table = Table("name", "in use", "versions", "words")
    for row in rows:
        table.add_row(row["name"], str(row["version"]), ", ".join(map(str, row["versions"])), f"{row['words']:,}")
    Console().print(table)


@lexicon_app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="Name of the lexicon.")],
    version: Annotated[int | None, typer.Argument(help="Version; by default the one before the one in use.")] = None,
    url: Url = None,
    lexicon_dir: LexiconDirectory = None,
    admin_token_file: TokenFile = None,
) -> None:
    """Use an older version again."""
    try:
        if url is not None:
            command = {"action": "rollback", "name": name, "version": version}
            now = send_command(url, admin_token(admin_token_file) or "", command)["version"]
        else:
            now = _store(lexicon_dir).rollback(name, version)
    except (LexiconError, LexiconServerError, OSError) as error:
        fail("lexicon rollback", str(error))
    typer.echo(f"{name}@{now} is in use")


def _store(directory: Path | None) -> LexiconStore:
    return LexiconStore(directory or default_lexicon_directory(default_repository()))
