"""Commands ``distillex lexicon …``; none needs Triton here."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from distillex_client.errors import ExtractorError
from distillex_client.option_groups import TlsOptions, grouped
from distillex_client.tables import print_table
from distillex_matcher import FeatureLayout, LayoutError, Lexicon, LexiconError, parse_trust
from distillex_matcher.base_lexicon import build_base_lexicon
from distillex_matcher.lexicon_store import LexiconStore, check_name
from rich.table import Table

from distillex.command.options import (
    EXIT_PRECONDITION,
    KeyFile,
    LexiconDirectory,
    TokenFile,
    admin_token,
    api_key,
    fail,
)
from distillex.errors import RefusedError
from distillex.lexicon_administration import KEPT_VERSIONS, run_command
from distillex.lexicon_backup import restore_backup, write_backup
from distillex.lexicon_files import open_lexicon
from distillex.locations import shipped_lexicons
from distillex.models import DEFAULT_MODEL, find_model

app = typer.Typer(
    no_args_is_help=True, help="Build, inspect, push, list, roll back, prune, remove, back up and restore lexicons."
)


@dataclass(frozen=True)
class Place(TlsOptions):
    """Where the lexicons lie: in a directory, or with a running server."""

    url: Annotated[
        str | None,
        typer.Option("--url", help="HOST:PORT of a running server's gRPC; needs its admin token, or an API key."),
    ] = None
    lexicon_dir: LexiconDirectory = None
    admin_token_file: TokenFile = None
    api_key_file: KeyFile = None
    insecure_token: Annotated[
        bool, typer.Option("--insecure-token", help="Send admin token and API key to another machine without TLS.")
    ] = False

    def run(self, action: str, *, content: bytes | None = None, student: str = DEFAULT_MODEL, **fields: Any) -> Any:
        """Run a command there; without a server, ``student`` knows the types that words may bear."""
        command = {"action": action, **fields}
        if self.url is not None and self.lexicon_dir is not None:
            raise RefusedError("--url is a server's lexicons, --lexicon-dir a directory's: give one of them")
        if self.url is None:
            directory = self.lexicon_dir or shipped_lexicons()
            if action != "push" and not directory.is_dir():
                raise RefusedError(f"{directory}: the directory of lexicons does not exist (--lexicon-dir)")
            store = LexiconStore(directory)

            def check(lexicon: Lexicon) -> None:
                FeatureLayout.load(find_model(student)).featurizer().check_types(lexicon)

            return run_command(store, command, content, check)
        from distillex.lexicon_server import send_command

        token, key = admin_token(self.admin_token_file), api_key(self.api_key_file)
        tls, insecure = self.tls_files, self.insecure_token
        return send_command(self.url, token, command, content, api_key=key, tls=tls, insecure_token=insecure)


@app.command()
def build(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, such as lexicons/base/1.lex.")],
    word_lists: Annotated[
        list[Path] | None,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="Typed word lists, WORD<TAB>TYPE[<TAB>WEIGHT] per line; added to jieba's dictionary in "
            "this order. Type null removes a word.",
        ),
    ] = None,
    dictionary: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Dictionary in jieba's format; default: that of the package jieba.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name written into the file.")] = "base",
    version: Annotated[int, typer.Option(min=1, help="Version written into the file.")] = 1,
) -> None:
    """Build the base lexicon from jieba's dictionary and typed word lists (same inputs, same bytes)."""
    with _failures("lexicon build", EXIT_PRECONDITION):
        single: list[str] = []
        lexicon = build_base_lexicon(
            word_lists or (), dictionary=dictionary, name=name, version=version, left_out=single
        )
        output.parent.mkdir(parents=True, exist_ok=True)
        lexicon.save(output)
    typer.echo(
        f"{output}: {len(lexicon):,} words, {len(lexicon.types)} types, {output.stat().st_size:,} bytes, "
        f"checksum {lexicon.checksum}"
    )
    if single:
        typer.echo(
            f"{len(single):,} words of the dictionary left out, such as {single[0]!r}: a single character is found "
            "everywhere (a typed word list may hold it all the same)"
        )


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A compiled lexicon (.lex) or a typed word list (.tsv).")],
    words: Annotated[int, typer.Option(help="Number of entries to show.")] = 5,
) -> None:
    """Show what a lexicon holds."""
    with _failures("lexicon inspect"):
        lexicon = open_lexicon(file)
    counts = Counter(lexicon[i].type for i in range(len(lexicon)))
    typer.echo(
        f"{file}: {len(lexicon):,} words, name {lexicon.name or '-'}, version {lexicon.version}, "
        f"{lexicon.size_bytes:,} bytes, trust {_shown(lexicon.trust)}, checksum {lexicon.checksum}"
    )
    table = Table("type", "words")
    for kind, count in counts.most_common():
        table.add_row("(hidden)" if kind is None else kind, f"{count:,}")
    print_table(table)
    for entry in (lexicon[i] for i in range(min(words, len(lexicon)))):
        trust = "" if entry.trust is None else f"\t{_shown(entry.trust)}"
        typer.echo(f"{entry.word}\t{entry.type or 'null'}\t{entry.weight:.4f}{trust}")


@app.command()
def seed(
    directory: Annotated[Path, typer.Argument(help="Directory of lexicons, such as an empty volume.")],
) -> None:
    """Install the shipped lexicons that a directory lacks; those in use there stay as they are.

    A server needs a directory with the lexicon 'base'. It is safe to run this before each start, even by several
    servers at once; it writes only what is missing.
    """
    with _failures("lexicon seed"):
        shipped, store = LexiconStore(shipped_lexicons()), LexiconStore(directory)
        for name in shipped.names():
            content = (shipped.directory / name / f"{shipped.current_version(name)}.lex").read_bytes()
            try:
                found = store.install_missing(name, content)
            except OSError as error:
                fail("lexicon seed", f"{directory}: the lexicon {name} cannot be written: {error.strerror}")
            if found is None:
                typer.echo(f"{name}: installed already")
            else:
                typer.echo(f"{found.label}: {len(found.lexicon):,} words in use")


@app.command()
@grouped
def push(
    *,
    name: Annotated[str, typer.Argument(help="Name of the lexicon: a-z, 0-9, '_' and '-'.")],
    file: Annotated[
        Path, typer.Argument(help="Typed word list, WORD<TAB>TYPE[<TAB>WEIGHT[<TAB>TRUST]] a line, or a .lex file.")
    ],
    trust: Annotated[
        str | None,
        typer.Option(
            help="Trust in words that have none of their own: hint, prefer, insist, or a number from 0 to "
            "1000; stored in the compiled file. Default: that of a .lex file, else prefer."
        ),
    ] = None,
    student: Annotated[
        str, typer.Option(help="Without --url: the student whose types the words may have.")
    ] = DEFAULT_MODEL,
    replace_base: Annotated[
        bool, typer.Option("--replace-base", help="Allow the name base: replaces all words of the base lexicon.")
    ] = False,
    keep: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of newest versions to keep; the one in use before, and those that 'prune' keeps, stay too.",
        ),
    ] = KEPT_VERSIONS,
    place: Place,
) -> None:
    """Compile a word list, check it, and install it as a new version; a running server uses it from the next batch on.

    With --url it goes through the server, else into the lexicon directory that the server reads.
    """
    with _failures("lexicon push"):
        said = None if trust is None else parse_trust(trust)
        content = open_lexicon(file, check_name(name), said).to_bytes()
        found = place.run("push", content=content, student=student, name=name, replace_base=replace_base, keep=keep)
    removed = f"; {len(found['removed'])} old versions removed" if found.get("removed") else ""
    typer.echo(f"{name}@{found['version']}: {found['words']:,} words in use{removed}")


@app.command("list")
@grouped
def list_lexicons(*, place: Place) -> None:
    """List the installed lexicons and their versions."""
    with _failures("lexicon list"):
        rows = place.run("list")["lexicons"]
    table = Table("name", "in use", "versions", "words", "trust")
    for row in rows:
        words = "?" if row["words"] is None else f"{row['words']:,}"
        table.add_row(
            row["name"],
            str(row["version"] or "?"),
            ", ".join(map(str, row["versions"])),
            words,
            _shown(row.get("trust")),
        )
    print_table(table)
    if problems := [row["problem"] for row in rows if row.get("problem")]:
        fail("lexicon list", "; ".join(problems))


@app.command()
@grouped
def rollback(
    *,
    name: Annotated[str, typer.Argument(help="Name of the lexicon.")],
    version: Annotated[
        int | None, typer.Argument(min=1, help="Version; default: the one before the current one.")
    ] = None,
    place: Place,
) -> None:
    """Use an older version again."""
    with _failures("lexicon rollback"):
        found = place.run("rollback", name=name, version=version)
    typer.echo(f"{name}@{found['version']} is in use")


@app.command()
@grouped
def prune(
    *,
    name: Annotated[str, typer.Argument(help="Name of the lexicon.")],
    keep: Annotated[int, typer.Option(min=1, help="Newest versions to keep.")],
    place: Place,
) -> None:
    """Remove old versions, except the current one and the one before it."""
    with _failures("lexicon prune"):
        found = place.run("prune", name=name, keep=keep)
    kept = ", ".join(map(str, found["versions"]))
    typer.echo(f"{name}: {len(found['removed'])} versions removed, kept: {kept}")


@app.command()
@grouped
def remove(
    *,
    name: Annotated[str, typer.Argument(help="Name of the lexicon; 'base' stays.")],
    place: Place,
) -> None:
    """Remove a lexicon with all its versions; requests that use it are refused from then on.

    If the name is pushed again later, its version numbers continue: no number is used twice.
    """
    with _failures("lexicon remove"):
        found = place.run("remove", name=name)
    typer.echo(f"{name} is removed: versions {', '.join(map(str, found['removed'])) or 'none'}")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Tar file to write; - is standard output.")],
    lexicon_dir: LexiconDirectory = None,
) -> None:
    """Write every version of all lexicons of a directory into one file, while servers and pushes go on.

    Exit code 1 if something could not be read; everything else is in the file.
    """
    with _failures("lexicon backup"):
        directory = lexicon_dir or shipped_lexicons()
        if not directory.is_dir():
            raise RefusedError(f"{directory}: the directory of lexicons does not exist (--lexicon-dir)")
        if str(file) == "-":
            saved = write_backup(LexiconStore(directory), sys.stdout.buffer)
        else:
            part = file.with_name(f".{file.name}.part")
            try:
                with part.open("wb") as opened:
                    saved = write_backup(LexiconStore(directory), opened)
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)
    for each in saved:
        typer.echo(f"{each.name}@{each.in_use} of versions {', '.join(map(str, each.versions)) or '-'}", err=True)
    if problems := [problem for each in saved for problem in each.problems]:
        fail("lexicon backup", "; ".join(problems))


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What 'backup' wrote; - is standard input.")],
    lexicon_dir: LexiconDirectory = None,
) -> None:
    """Restore the lexicons of a backup, each with the version then in use; running servers follow.

    Versions pushed since then, and lexicons that the backup lacks, stay in the directory.
    """
    with _failures("lexicon restore"):
        store = LexiconStore(lexicon_dir or shipped_lexicons())
        if str(file) == "-":
            restored = restore_backup(store, sys.stdin.buffer)
        else:
            with file.open("rb") as opened:
                restored = restore_backup(store, opened)
    for each in restored:
        moved = f" (in the backup {each.saved_as}: another version has that number)"
        typer.echo(f"{each.name}@{each.in_use} is in use{moved if each.in_use != each.saved_as else ''}")


def _shown(trust: str | float | None) -> str:
    return "-" if trust is None else trust if isinstance(trust, str) else f"{trust:g}"


@contextmanager
def _failures(command: str, code: int = 1) -> Iterator[None]:
    """Turn what ends a command into one sentence."""
    try:
        yield
    except (LexiconError, LayoutError, RefusedError, ExtractorError, ValueError, OSError) as error:
        fail(command, str(error), code)
