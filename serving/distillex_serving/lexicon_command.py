"""Commands ``distillex lexicon inspect | push | list | rollback | prune``."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from distillex.locations import shipped_lexicons
from distillex.models import DEFAULT_MODEL, find_model
from distillex_client.errors import ModelNotFound
from distillex_matcher import FeatureLayout, LayoutError, Lexicon, LexiconError
from distillex_matcher.lexicon_store import LexiconStore
from rich.console import Console
from rich.table import Table

from distillex_serving.command_options import LexiconDirectory, TokenFile, admin_token, fail
from distillex_serving.lexicon_client import ClientTls, LexiconServerError, compile_word_list, send_command

lexicon_app = typer.Typer(no_args_is_help=True, help="Build, inspect, push, list, roll back and prune lexicons.")

Url = Annotated[str | None, typer.Option("--url", help="HOST:PORT of a running server's gRPC; needs its admin token.")]
UseTls = Annotated[bool, typer.Option("--tls", help="Encrypt; the other TLS options imply it.")]
TlsCa = Annotated[
    Path | None, typer.Option(help="PEM file of the authority of the server's certificate; default: gRPC's own list.")
]
TlsCertificate = Annotated[Path | None, typer.Option(help="PEM file of this caller's certificate: mutual TLS.")]
TlsKey = Annotated[Path | None, typer.Option(help="PEM file of its key.")]
InsecureToken = Annotated[
    bool, typer.Option("--insecure-token", help="Send the admin token to another machine without TLS.")
]


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
    ] = DEFAULT_MODEL,
    replace_base: Annotated[
        bool, typer.Option("--replace-base", help="With the name base: put all of its words out of use.")
    ] = False,
    use_tls: UseTls = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    insecure_token: InsecureToken = False,
) -> None:
    """Compile a word list, check it, and install it as a new version; a running server uses it from the next batch on.

    With --url it goes through the server, else into the lexicon directory (which the server reads).
    """
    with _failures("lexicon push"):
        content = compile_word_list(file, name)
        if url is not None:
            server = _Server(url, admin_token_file, _tls(use_tls, tls_ca, tls_certificate, tls_key), insecure_token)
            result = server.run({"action": "push", "name": name, "replace_base": replace_base}, content)
            version, count = result["version"], result["words"]
        else:
            layout = FeatureLayout.load(find_model(student))
            check = layout.featurizer().check_types
            installed = _store(lexicon_dir).install(name, content, check, replace_base=replace_base)
            version, count = installed.version, len(installed.lexicon)
    typer.echo(f"{name}@{version}: {count:,} words in use")


@lexicon_app.command("list")
def list_lexicons(
    url: Url = None,
    lexicon_dir: LexiconDirectory = None,
    admin_token_file: TokenFile = None,
    use_tls: UseTls = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    insecure_token: InsecureToken = False,
) -> None:
    """List the installed lexicons and their versions."""
    with _failures("lexicon list"):
        if url is not None:
            server = _Server(url, admin_token_file, _tls(use_tls, tls_ca, tls_certificate, tls_key), insecure_token)
            rows = server.run({"action": "list"})["lexicons"]
        else:
            rows = [dataclasses.asdict(line) for line in _store(lexicon_dir).overview()]
    table = Table("name", "in use", "versions", "words")
    for row in rows:
        words = "?" if row["words"] is None else f"{row['words']:,}"
        table.add_row(row["name"], str(row["version"] or "?"), ", ".join(map(str, row["versions"])), words)
    Console().print(table)
    if problems := [row["problem"] for row in rows if row.get("problem")]:
        fail("lexicon list", "; ".join(problems))


@lexicon_app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="Name of the lexicon.")],
    version: Annotated[int | None, typer.Argument(help="Version; by default the one before the one in use.")] = None,
    url: Url = None,
    lexicon_dir: LexiconDirectory = None,
    admin_token_file: TokenFile = None,
    use_tls: UseTls = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    insecure_token: InsecureToken = False,
) -> None:
    """Use an older version again."""
    with _failures("lexicon rollback"):
        if url is not None:
            server = _Server(url, admin_token_file, _tls(use_tls, tls_ca, tls_certificate, tls_key), insecure_token)
            now = server.run({"action": "rollback", "name": name, "version": version})["version"]
        else:
            now = _store(lexicon_dir).rollback(name, version)
    typer.echo(f"{name}@{now} is in use")


@lexicon_app.command()
def prune(
    name: Annotated[str, typer.Argument(help="Name of the lexicon.")],
    keep: Annotated[int, typer.Option(min=1, help="Newest versions to keep, beside the one in use.")],
    url: Url = None,
    lexicon_dir: LexiconDirectory = None,
    admin_token_file: TokenFile = None,
    use_tls: UseTls = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    insecure_token: InsecureToken = False,
) -> None:
    """Remove old versions; the one in use stays, whichever it is."""
    with _failures("lexicon prune"):
        if url is not None:
            server = _Server(url, admin_token_file, _tls(use_tls, tls_ca, tls_certificate, tls_key), insecure_token)
            result = server.run({"action": "prune", "name": name, "keep": keep})
            removed, versions = result["removed"], result["versions"]
        else:
            store = _store(lexicon_dir)
            removed, versions = store.prune(name, keep), store.versions(name)
    typer.echo(f"{name}: {len(removed)} versions removed, kept: {', '.join(map(str, versions))}")


@dataclasses.dataclass(frozen=True)
class _Server:
    url: str
    token_file: Path | None
    tls: ClientTls | None
    insecure_token: bool

    def run(self, command: dict[str, Any], content: bytes | None = None) -> dict[str, Any]:
        token = admin_token(self.token_file)
        return send_command(self.url, token, command, content, tls=self.tls, insecure_token=self.insecure_token)


@contextmanager
def _failures(command: str) -> Iterator[None]:
    """Turn what ends a command into one sentence."""
    try:
        yield
    except (LexiconError, LayoutError, LexiconServerError, ModelNotFound, OSError) as error:
        fail(command, str(error))


def _tls(use_tls: bool, ca: Path | None, certificate: Path | None, key: Path | None) -> ClientTls | None:
    if not use_tls and ca is None and certificate is None and key is None:
        return None
    if (certificate is None) != (key is None):
        raise LexiconServerError("--tls-certificate and --tls-key are given together or not at all")
    return ClientTls(ca, certificate, key)


def _store(directory: Path | None) -> LexiconStore:
    return LexiconStore(directory or shipped_lexicons())
