"""``distillex extract`` and ``distillex predict``: a batch run on this machine, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from distillex_client.exit_codes import exit_codes
from distillex_client.extract_command import BatchArguments
from distillex_client.option_groups import grouped
from distillex_matcher.cores import usable_cores

from distillex.command.options import LexiconDirectory
from distillex.models import DEFAULT_MODEL

PROGRAM = "distillex"
CALLS_OF_A_WORKER = 2
"""One that it answers, and one that waits, so that it never does."""
MODEL_HELP = (
    "Name of a student, a folder written by 'distillex export', or a trained model's "
    "directory (PyTorch runs that one, more slowly)."
)

Workers = Annotated[int | None, typer.Option(help="Worker processes; default: one per usable core.", min=1)]


@grouped
def extract(
    *,
    batch: BatchArguments,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = DEFAULT_MODEL,
    lexicon_dir: LexiconDirectory = None,
    workers: Workers = None,
) -> None:
    """Extract entities from documents of any length and number, in the order of the input, on this machine's cores.

    Exit codes: 0 all extracted; 1 done, but some records were bad (each is reported with its reason); 2 wrong use;
    3 stopped because workers cannot be started or the disk is full: --resume continues; 130 interrupted.
    """
    _run(batch, model, lexicon_dir, workers)


@grouped
def predict(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    *,
    batch: BatchArguments,
    lexicon_dir: LexiconDirectory = None,
    workers: Workers = None,
) -> None:
    """Extract with a given model; the same as 'distillex extract --model MODEL'.

    Exit codes: those of 'distillex extract'.
    """
    _run(batch, model, lexicon_dir, workers)


def _run(batch: BatchArguments, model: str, lexicon_dir: Path | None, workers: int | None) -> None:
    from distillex.batch import LocalExtraction

    count = workers or usable_cores()
    with exit_codes(PROGRAM, resumable=batch.output is not None):
        batch.run(PROGRAM, LocalExtraction(model, lexicon_dir, count), concurrency=CALLS_OF_A_WORKER * count)
