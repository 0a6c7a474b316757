"""Commands ``distillex serve`` and ``distillex lexicon inspect | push | list | rollback``."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from distillex_matcher import FeatureLayout, LayoutError, Lexicon, LexiconError
from distillex_matcher.lexicon_store import LexiconStore
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from distillex_serving.embedded import EmbeddedServer, ServerError, ServerOptions, TlsFiles
from distillex_serving.lexicon_client import LexiconServerError, compile_word_list, send_command
from distillex_serving.locations import default_lexicon_directory, default_repository
from distillex_serving.preconditions import PreconditionError
from distillex_serving.students import DEFAULT_STUDENT, entity_types, find_student
from distillex_serving.supervision import supervise

TOKEN_VARIABLE = "DISTILLEX_ADMIN_TOKEN"

EXIT_PRECONDITION = 2
EXIT_NOT_STARTED = 3
EXIT_DIED = 4

lexicon_app = typer.Typer(no_args_is_help=True, help="Build, inspect, push, list and roll back lexicons.")

Directory = Annotated[
    Path | None, typer.Option("--lexicon-dir", help="Directory of named lexicons; by default the shipped one.")
]
Url = Annotated[str | None, typer.Option("--url", help="HOST:PORT of a running server's gRPC; needs its admin token.")]
TokenFile = Annotated[
    Path | None,
    typer.Option("--admin-token-file", help=f"File that holds the admin token; else the variable {TOKEN_VARIABLE}."),
]


def serve(
    student: Annotated[
        str | None, typer.Option(help=f"Student to serve: NAME of models/student-NAME; by default {DEFAULT_STUDENT}.")
    ] = None,
    repository: Annotated[
        Path | None, typer.Option(help="Model repository; by default the shipped one. It holds its own student.")
    ] = None,
    lexicon_dir: Directory = None,
    host: Annotated[str, typer.Option(help="Address of gRPC. HTTP and metrics stay on 127.0.0.1.")] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8001,
    http_port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8000,
    metrics_port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8002,
    expose_http: Annotated[
        bool,
        typer.Option(
            help="Bind HTTP and metrics to --host too. Risk: one hostile HTTP request can end this Triton version."
        ),
    ] = False,
    model_config_name: Annotated[str, typer.Option(help="Triton's custom model configuration.")] = "cpu",
    teacher: Annotated[
        Path | None,
        typer.Option(help="Folder of an exported teacher, to serve as extractor_teacher beside extractor."),
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM certificate for gRPC.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM key for gRPC.")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="PEM CA; demands client certificates.")] = None,
    admin_token_file: TokenFile = None,
    start_timeout: Annotated[float, typer.Option(help="Seconds to wait until the models are ready.")] = 60.0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Triton's own log.")] = False,
) -> None:
    """Start the embedded Triton server on the model repository; Ctrl-C or SIGTERM stops it.

    Exit codes: 0 stopped as asked, 2 this machine lacks something, 3 the server did not become ready, 4 it died too
    often.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(show_path=False)])
    if (tls_certificate is None) != (tls_key is None):
        _fail("serve", "--tls-certificate and --tls-key are given together or not at all", EXIT_PRECONDITION)
    tls = TlsFiles(tls_certificate, tls_key, tls_client_ca) if tls_certificate and tls_key else None
    if student is not None and repository is not None:
        _fail("serve", "--repository holds its own student: give it or --student, not both", EXIT_PRECONDITION)
    try:
        student_folder = None if repository is not None else find_student(student or DEFAULT_STUDENT)
        _say_what_is_served(student or DEFAULT_STUDENT, student_folder, repository)
    except (PreconditionError, LayoutError) as error:
        _fail("serve", str(error), EXIT_PRECONDITION)
    options = ServerOptions(
        repository=repository or default_repository(),
        student=student_folder,
        lexicon_directory=lexicon_dir,
        host=host,
        grpc_port=grpc_port,
        http_port=http_port,
        metrics_port=metrics_port,
        expose_http=expose_http,
        model_config_name=model_config_name,
        teacher=teacher,
        tls=tls,
        admin_token=_token(admin_token_file),
        start_timeout_s=start_timeout,
        verbose=verbose,
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server = EmbeddedServer(options)
    try:
        server.start()
        typer.echo(f"ready: gRPC {server.grpc_url}, HTTP {server.http_url}, metrics {server.metrics_url}")
        kept_up = supervise(server, stop)
    except PreconditionError as error:
        _fail("serve", str(error), EXIT_PRECONDITION)
    except ServerError as error:
        _fail("serve", str(error), EXIT_NOT_STARTED)
    finally:
        server.stop()
    if not kept_up:
        raise typer.Exit(EXIT_DIED)
    typer.echo("stopped")


@lexicon_app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A compiled lexicon (.lex) or a typed word list (.tsv).")],
    words: Annotated[int, typer.Option(help="Show so many entries.")] = 5,
) -> None:
    """Show what a lexicon holds."""
    try:
        lexicon = Lexicon.load(file) if file.suffix == ".lex" else Lexicon.from_tsv(file)
    except LexiconError as error:
        _fail("lexicon inspect", str(error))
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
    lexicon_dir: Directory = None,
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
            result = send_command(url, _token(admin_token_file) or "", {"action": "push", "name": name}, content)
            version, count = result["version"], result["words"]
        else:
            layout = FeatureLayout.load((find_student(student) or default_repository()) / "preprocess" / "1")
            installed = _store(lexicon_dir).install(name, content, layout.featurizer().check_types)
            version, count = installed.version, len(installed.lexicon)
    except (LexiconError, LayoutError, LexiconServerError, PreconditionError, OSError) as error:
        _fail("lexicon push", str(error))
    typer.echo(f"{name}@{version}: {count:,} words in use")


@lexicon_app.command("list")
def list_lexicons(url: Url = None, lexicon_dir: Directory = None, admin_token_file: TokenFile = None) -> None:
    """List the installed lexicons and their versions."""
    try:
        if url is not None:
            rows = send_command(url, _token(admin_token_file) or "", {"action": "list"})["lexicons"]
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
        _fail("lexicon list", str(error))
    table = Table("name", "in use", "versions", "words")
    for row in rows:
        table.add_row(row["name"], str(row["version"]), ", ".join(map(str, row["versions"])), f"{row['words']:,}")
    Console().print(table)


@lexicon_app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="Name of the lexicon.")],
    version: Annotated[int | None, typer.Argument(help="Version; by default the one before the one in use.")] = None,
    url: Url = None,
    lexicon_dir: Directory = None,
    admin_token_file: TokenFile = None,
) -> None:
    """Use an older version again."""
    try:
        if url is not None:
            command = {"action": "rollback", "name": name, "version": version}
            now = send_command(url, _token(admin_token_file) or "", command)["version"]
        else:
            now = _store(lexicon_dir).rollback(name, version)
    except (LexiconError, LexiconServerError, OSError) as error:
        _fail("lexicon rollback", str(error))
    typer.echo(f"{name}@{now} is in use")


def _say_what_is_served(student: str, student_folder: Path | None, repository: Path | None) -> None:
    served = student_folder or repository or default_repository()
    if not served.is_dir():
        return  # the server's own check says so
    what = f"student {student}" if repository is None else "the student"
    typer.echo(f"serving {what} of {served}: {', '.join(entity_types(served))}")


def _store(directory: Path | None) -> LexiconStore:
    return LexiconStore(directory or default_lexicon_directory(default_repository()))


def _token(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        _fail("admin token", f"{path}: {error.strerror}", EXIT_PRECONDITION)
    if not token:
        _fail("admin token", f"{path}: the file is empty", EXIT_PRECONDITION)
    return token


def _fail(command: str, message: str, code: int = 1) -> NoReturn:
    typer.echo(f"distillex {command}: {message}", err=True)
    raise typer.Exit(code)
