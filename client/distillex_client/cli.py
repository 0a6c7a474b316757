"""The ``distillex-client`` command: its sub-commands, options and exit codes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from distillex_client.batch.connection import Connection
from distillex_client.command_line import run_application
from distillex_client.errors import WrongUse
from distillex_client.exit_codes import EXIT_STOPPED, exit_codes
from distillex_client.extract_command import BatchArguments
from distillex_client.option_groups import TlsOptions, grouped
from distillex_client.printable import printable

PROGRAM = "distillex-client"

# The variables of an exception may hold an API key.
app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Extract entities through a Distillex server.",
)

Url = Annotated[str, typer.Option("--url", envvar="DISTILLEX_URL", help="HOST:PORT of the server's gRPC.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for one answer.", min=0.001)]
Model = Annotated[str, typer.Option(help="The model to call.")]
ModelVersion = Annotated[str, typer.Option(help="Its version; empty: the server's choice.")]
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


@app.command()
@grouped
def extract(
    *,
    batch: BatchArguments,
    url: Url = "127.0.0.1:8001",
    timeout: Timeout = 30.0,
    retry_for: Annotated[
        float, typer.Option(help="Seconds to wait for a server that is away before the run stops.", min=0)
    ] = 60.0,
    concurrency: Concurrency = 4,
    model: Model = "extractor",
    model_version: ModelVersion = "",
    tls: TlsOptions,
    metadata: Metadata = None,
) -> None:
    """Extract entities from documents of any length and number, in the order of the input.

    Exit codes: 0 all extracted; 1 done, but some records were bad (each is reported with its reason); 2 wrong use;
    3 stopped because the server stayed away or the disk is full: --resume continues; 130 interrupted.
    """
    with exit_codes(PROGRAM, resumable=batch.output is not None):
        connection = Connection(url, model, model_version, timeout, tls.tls_files, _metadata(metadata))
        batch.run(PROGRAM, connection, concurrency=concurrency, retry_for_s=retry_for)


@app.command()
@grouped
def ping(
    *,
    url: Url = "127.0.0.1:8001",
    count: Annotated[int, typer.Option("--count", "-c", help="Requests to time.", min=1)] = 5,
    timeout: Timeout = 5.0,
    model: Model = "extractor",
    model_version: ModelVersion = "",
    tls: TlsOptions,
    metadata: Metadata = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Check whether the server and its model are ready, and how fast they answer; exit code 0 if ready, else 3."""
    from distillex_client.server_check import ping_server

    with exit_codes(PROGRAM):
        answer = ping_server(Connection(url, model, model_version, timeout, tls.tls_files, _metadata(metadata)), count)
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
@grouped
def models(
    *,
    url: Url = "127.0.0.1:8001",
    timeout: Timeout = 5.0,
    tls: TlsOptions,
    metadata: Metadata = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Models to ask about; default: the parts of Distillex.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the server's models with their versions, inputs and outputs."""
    from distillex_client.server_check import list_models, models_table
    from distillex_client.tables import print_table

    with exit_codes(PROGRAM):
        found = list_models(Connection(url, timeout_s=timeout, tls=tls.tls_files, metadata=_metadata(metadata)), model)
        if as_json:
            typer.echo(json.dumps([dataclasses.asdict(each) for each in found]))
            return
        print_table(models_table(found))


@app.command()
@grouped
def bench(
    *,
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
    tls: TlsOptions,
    metadata: Metadata = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Measure a running server: sentences per second in batches, latency of single sentences."""
    from distillex_client.server_check import bench_server, bench_text

    with exit_codes(PROGRAM):
        connection = Connection(url, model, model_version, timeout, tls.tls_files, _metadata(metadata))
        text = bench_text(file)
        figures = bench_server(
            connection, text, sentences=sentences, requests=requests, batch_size=batch_size, concurrency=concurrency
        )
        typer.echo(json.dumps(dataclasses.asdict(figures)) if as_json else figures.describe())


def _metadata(pairs: list[str] | None) -> tuple[tuple[str, str], ...]:
    found = []
    for number, pair in enumerate(pairs or (), 1):
        name, sign, value = pair.partition("=")
        if not sign or not name:
            # It may be a secret, of which nothing is repeated.
            raise WrongUse(f"--metadata: what was given as number {number} is not KEY=VALUE")
        found.append((name.lower(), value))
    return tuple(found)


def run() -> None:
    """Entry point of the ``distillex-client`` command."""
    run_application(app, PROGRAM)
