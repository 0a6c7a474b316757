"""``distillex extract``: a batch run on this machine, without a server."""

from __future__ import annotations

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


@grouped
def extract(
    *,
    batch: BatchArguments,
    model: Annotated[
        str, typer.Option(help="Name of a student, or a folder that 'distillex export' wrote.")
    ] = DEFAULT_MODEL,
    lexicon_dir: LexiconDirectory = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that extract; default: one for each core that may be used.", min=1)
    ] = None,
) -> None:
    """Extract entities from documents of any length and number, in the order of the input, on this machine's cores.

    Exit codes: 0 all extracted; 1 done, but some records were bad (named with their reasons); 2 wrong use: only a
    change helps; 3 stopped, as workers cannot be started or the disk is full: --resume continues; 130 interrupted.
    """
    from distillex.batch import LocalExtraction

    count = workers or usable_cores()
    with exit_codes(PROGRAM, resumable=batch.output is not None):
        batch.run(PROGRAM, LocalExtraction(model, lexicon_dir, count), concurrency=CALLS_OF_A_WORKER * count)
