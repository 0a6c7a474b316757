"""The ``distillex-client`` command: its options and its exit codes; the work is done elsewhere."""

from __future__ import annotations

import dataclasses
import enum
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from distillex_client.batch.connection import Connection
from distillex_client.batch.csv_cells import CsvFormulas, OutputEncoding
from distillex_client.batch.errors import BatchStopped, WrongUse
from distillex_client.batch.lexicon_file import read_lexicon
from distillex_client.batch.options import BatchOptions
from distillex_client.batch.progress import Bar, LogLines, Progress, Silent
from distillex_client.batch.run import Summary, extract_files
from distillex_client.batch.sources import InputFormat
from distillex_client.batch.writers import OutputFormat
from distillex_client.errors import DeadlineExceeded, ExtractorError, ServerUnavailable
from distillex_client.options import Tls
from distillex_client.printable import discard, printable, say

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Extract entities through a Distillex server.")

EXIT_BAD_RECORDS = 1
EXIT_WRONG_USE = 2
EXIT_STOPPED = 3
EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141

Url = Annotated[str, typer.Option("--url", envvar="DISTILLEX_URL", help="HOST:PORT of the server's gRPC.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for one answer.", min=0.001)]
Model = Annotated[str, typer.Option(help="The ensemble to call.")]
ModelVersion = Annotated[str, typer.Option(help="Its version; empty: the server's choice.")]
UseTls = Annotated[bool, typer.Option("--tls", help="Encrypt; the other TLS options imply it.")]
TlsCa = Annotated[
    Path | None, typer.Option(help="PEM file of the authority of the server's certificate; default: gRPC's own list.")
]
TlsCertificate = Annotated[Path | None, typer.Option(help="PEM file of this client's certificate: mutual TLS.")]
TlsKey = Annotated[Path | None, typer.Option(help="PEM file of its key.")]
Metadata = Annotated[
    list[str] | None,
    typer.Option(
        "--metadata",
        envvar="DISTILLEX_METADATA",
        help="KEY=VALUE sent with each call, such as authorization='Bearer …'; secrets better in the variable.",
    ),
]
BatchSize = Annotated[int, typer.Option(help="Texts a request.", min=1, max=64)]
Concurrency = Annotated[int, typer.Option(help="Requests in flight at once.", min=1, max=256)]


class TextUnit(str, enum.Enum):
    """What is a document of plain text."""

    FILE = "file"
    LINE = "line"


class ProgressKind(str, enum.Enum):
    """Ways of showing progress."""

    AUTO = "auto"
    BAR = "bar"
    LINES = "lines"
    NONE = "none"


@app.command()
def extract(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Text, JSON Lines, JSON arrays, CSV, TSV or Parquet, also in gzip or zstd; globs; - is standard input."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write, for html also a directory; else standard output."),
    ] = None,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", "-f", help="Of the output; default: by the name of --output, else jsonl."),
    ] = None,
    input_format: Annotated[
        InputFormat | None,
        typer.Option(help="Of all inputs; default: by each name; txt for - and names without a dot."),
    ] = None,
    encoding: Annotated[
        str, typer.Option(help="Of all inputs but Parquet: gb18030 (which reads gbk and gb2312), big5, utf-16, …")
    ] = "utf-8",
    per: Annotated[TextUnit, typer.Option(help="What is a document of plain text.")] = TextUnit.FILE,
    text_field: Annotated[str, typer.Option(help="Field or column that holds the text.")] = "text",
    entities_field: Annotated[str, typer.Option(help="Field or column that gets the entities.")] = "entities",
    min_score: Annotated[float, typer.Option(help="Leave out entities of a lower score.", min=0, max=1)] = 0.0,
    types: Annotated[
        list[str] | None, typer.Option(help="Leave out entities of other types; several with commas, or given again.")
    ] = None,
    output_encoding: Annotated[
        OutputEncoding, typer.Option(help="Of CSV output; Excel knows UTF-8 by the mark that utf-8-sig begins with.")
    ] = OutputEncoding.UTF_8,
    csv_formulas: Annotated[
        CsvFormulas,
        typer.Option(help="Cells of CSV that a spreadsheet would run as formulas get a ' before them, or not."),
    ] = CsvFormulas.NEUTRALIZE,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an unfinished run of the same --output.")] = False,
    bad_records: Annotated[
        Path | None, typer.Option(help="Side file of bad records; default: OUTPUT.bad.jsonl, else standard error.")
    ] = None,
    lexicon: Annotated[
        Path | None, typer.Option(help="Words for this run alone: WORD<TAB>TYPE a line; type null hides a word.")
    ] = None,
    lexicon_name: Annotated[str | None, typer.Option(help="A lexicon installed on the server.")] = None,
    url: Url = "127.0.0.1:8001",
    timeout: Timeout = 30.0,
    retry_for: Annotated[
        float, typer.Option(help="Seconds to wait for a server that is away before the run stops.", min=0)
    ] = 60.0,
    batch_size: BatchSize = 64,
    concurrency: Concurrency = 4,
    model: Model = "extractor",
    model_version: ModelVersion = "",
    use_tls: UseTls = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    metadata: Metadata = None,
    progress: Annotated[
        ProgressKind, typer.Option(help="auto: a bar on a terminal, a line every 10 s elsewhere.")
    ] = ProgressKind.AUTO,
) -> None:
    """Extract entities from documents of any length and number, in the order of the input.

    Exit codes: 0 all extracted; 1 done, but some records were bad (named with their reasons); 2 wrong use: only a
    change helps; 3 stopped, as the server stayed away or the disk is full: --resume continues; 130 interrupted.
    """
    with _exit_codes(resumable=output is not None):
        options = BatchOptions(
            inputs=inputs,
            output=output,
            output_format=output_format or _format_of(output),
            input_format=input_format,
            encoding=encoding,
            by_line=per is TextUnit.LINE,
            text_field=text_field,
            entities_field=entities_field,
            min_score=min_score,
            types=[kind.strip() for each in types for kind in each.split(",")] if types else None,
            output_encoding=output_encoding,
            csv_formulas=csv_formulas,
            bad_records=bad_records,
            lexicon=read_lexicon(lexicon) if lexicon is not None else {},
            also_read=[lexicon] if lexicon is not None else [],
            lexicon_name=lexicon_name,
            batch_size=batch_size,
            concurrency=concurrency,
            retry_for_s=retry_for,
            resume=resume,
        )
        tls = _tls(use_tls, tls_ca, tls_certificate, tls_key)
        connection = Connection(url, model, model_version, timeout, tls, _metadata(metadata))
        summary = extract_files(options, connection, lambda *standing: _display(progress, *standing))
        _report(summary, options)
    if summary.bad:
        raise typer.Exit(EXIT_BAD_RECORDS)


@app.command()
def ping(
    url: Url = "127.0.0.1:8001",
    count: Annotated[int, typer.Option("--count", "-c", help="Requests to time.", min=1)] = 5,
    timeout: Timeout = 5.0,
    model: Model = "extractor",
    model_version: ModelVersion = "",
    use_tls: UseTls = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    metadata: Metadata = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Tell whether the server and its model are ready, and how fast they answer; exit code 0 if they are, else 3."""
    from distillex_client.server_check import ping_server

    with _exit_codes(resumable=False):
        tls = _tls(use_tls, tls_ca, tls_certificate, tls_key)
        answer = ping_server(Connection(url, model, model_version, timeout, tls, _metadata(metadata)), count)
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(answer)))
        elif answer.ready:
            typer.echo(
                f"{url}: ready; {model} answers in {answer.p50_ms:.2f} ms (slowest of {count}: {answer.max_ms:.2f} ms)"
            )
        else:
            typer.echo(printable(f"{url}: not ready: {answer.problem}"))
    raise typer.Exit(0 if answer.ready else EXIT_STOPPED)


@app.command()
def models(
    url: Url = "127.0.0.1:8001",
    timeout: Timeout = 5.0,
    use_tls: UseTls = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    metadata: Metadata = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Models to ask about; default: the parts of Distillex.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the server's models with their versions, inputs and outputs."""
    from distillex_client.server_check import list_models, models_table

    with _exit_codes(resumable=False):
        tls = _tls(use_tls, tls_ca, tls_certificate, tls_key)
        found = list_models(Connection(url, timeout_s=timeout, tls=tls, metadata=_metadata(metadata)), model)
        if as_json:
            typer.echo(json.dumps([dataclasses.asdict(each) for each in found]))
            return
        from rich.console import Console

        Console(width=None if sys.stdout.isatty() else 120).print(models_table(found))


@app.command()
def bench(
    file: Annotated[
        Path | None, typer.Argument(help="Text, UTF-8, cut into sentences; default: a built-in text.")
    ] = None,
    sentences: Annotated[int, typer.Option(help="Sentences to send; the text is repeated.", min=1)] = 2000,
    requests: Annotated[int, typer.Option(help="Single sentences to time.", min=1)] = 300,
    url: Url = "127.0.0.1:8001",
    timeout: Timeout = 30.0,
    batch_size: BatchSize = 64,
    concurrency: Concurrency = 4,
    model: Model = "extractor",
    model_version: ModelVersion = "",
    use_tls: UseTls = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    metadata: Metadata = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Measure a running server: sentences a second in batches, latency of single sentences."""
    from distillex_client.server_check import bench_server, bench_text

    with _exit_codes(resumable=False):
        tls = _tls(use_tls, tls_ca, tls_certificate, tls_key)
        connection = Connection(url, model, model_version, timeout, tls, _metadata(metadata))
        text = bench_text(file)
        figures = bench_server(
            connection, text, sentences=sentences, requests=requests, batch_size=batch_size, concurrency=concurrency
        )
        typer.echo(json.dumps(dataclasses.asdict(figures)) if as_json else figures.describe())


@contextmanager
def _exit_codes(*, resumable: bool) -> Iterator[None]:
    """Turn what ends a command into one sentence on standard error and an exit code."""
    _log_to_standard_error()
    try:
        yield
    except WrongUse as error:
        _say(str(error))
        raise typer.Exit(EXIT_WRONG_USE) from error
    except (BatchStopped, ServerUnavailable, DeadlineExceeded) as error:
        _say(str(error) if isinstance(error, BatchStopped) else f"{type(error).__name__}: {error}")
        _say_how_to_resume(resumable)
        raise typer.Exit(EXIT_STOPPED) from error
    except ExtractorError as error:
        _say(f"{type(error).__name__}: {error}")
        raise typer.Exit(EXIT_WRONG_USE) from error
    except KeyboardInterrupt:
        _say("interrupted")
        _say_how_to_resume(resumable)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # The reader of our output has gone (`| head`). Python would complain when it flushes at exit.
        discard(sys.stdout)
        raise typer.Exit(EXIT_PIPE_CLOSED) from None
    except OSError as error:
        discard(sys.stdout)
        _say(f"{error.filename or 'standard output'}: {error.strerror}")
        raise typer.Exit(EXIT_STOPPED) from error


def _report(summary: Summary, options: BatchOptions) -> None:
    if summary.already_complete:
        _say(f"{options.output} is there and no run of it is unfinished: nothing to do")
        return
    if options.types and not summary.entities:
        _say(f"no entity of type {', '.join(sorted(options.types))} was found; the server may know none of that name")
    if options.output is None and not summary.bad:
        return
    parts = [f"{summary.records:,} records", f"{summary.entities:,} entities"]
    if summary.resumed_at:
        parts.append(f"{summary.resumed_at:,} done before")
    if summary.bad:
        where = f" ({summary.bad_records})" if summary.bad_records else ""
        parts.append(f"{summary.bad:,} bad{where}")
    _say(f"{', '.join(parts)}, {summary.seconds:.1f} s")


def _display(kind: ProgressKind, records: int, position: float) -> Progress:
    if kind is ProgressKind.NONE:
        return Silent()
    if kind is ProgressKind.BAR or (kind is ProgressKind.AUTO and sys.stderr is not None and sys.stderr.isatty()):
        from rich.console import Console

        return Bar(Console(stderr=True), records, position)
    return LogLines(records, position)


def _format_of(output: Path | None) -> OutputFormat:
    if output is None or not output.suffix:
        return OutputFormat.JSONL
    names = {".ndjson": OutputFormat.JSONL, ".htm": OutputFormat.HTML}
    names |= {f".{form.value}": form for form in OutputFormat if form is not OutputFormat.TABLE}
    form = names.get(output.suffix.lower())
    if form is None:
        raise WrongUse(
            f"{output}: {output.suffix!r} tells no format; give --format, or one of {', '.join(sorted(names))}"
        )
    return form


def _tls(use_tls: bool, ca: Path | None, certificate: Path | None, key: Path | None) -> Tls | None:
    if not use_tls and ca is None and certificate is None and key is None:
        return None
    return Tls(ca, certificate, key)


def _metadata(pairs: list[str] | None) -> tuple[tuple[str, str], ...]:
    found = []
    for pair in pairs or ():
        name, sign, value = pair.partition("=")
        if not sign or not name:
            # The value may be a secret: it is not repeated.
            raise WrongUse(f"--metadata {name.split()[0] if name else ''!r}…: is not KEY=VALUE")
        found.append((name.lower(), value))
    return tuple(found)


class _StandardError(logging.Handler):
    """Write to what standard error is now, which a progress bar may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


def _log_to_standard_error() -> None:
    log = logging.getLogger("distillex.batch")
    log.setLevel(logging.INFO)
    log.propagate = False
    if not log.handlers:
        handler = _StandardError()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        log.addHandler(handler)


def _say(message: str) -> None:
    say(f"distillex-client: {message}")


def _say_how_to_resume(resumable: bool) -> None:
    if resumable:
        _say("the same command with --resume continues")


def run() -> None:
    """Entry point of the ``distillex-client`` command."""
    _fill_standard_descriptors()
    app()


def _fill_standard_descriptors() -> None:
    """Where one of the three is closed, a file of ours would get its number, and with it what others write there."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
