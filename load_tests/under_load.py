"""The embedded server that load tests drive: student and, where wanted, teacher, on free ports."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from distillex_serving.embedded import EmbeddedServer, ServerError, ServerOptions
from random_teacher import TeacherSizes, export_random_teacher

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = ROOT / "model_repository"
STARTS = 3
RANDOM_WEIGHTS = "random weights (speed does not depend on them)"


@contextlib.contextmanager
def exported_teacher(given: Path | None, sizes: TeacherSizes | None = None) -> Iterator[tuple[Path, str]]:
    """Yield an exported teacher's folder and what it is: the given one, or one of random weights made for the while."""
    if given is not None:
        yield given, str(given)
        return
    sizes = sizes or TeacherSizes()
    with tempfile.TemporaryDirectory(prefix="distillex-teacher-") as folder:
        print(f"exporting a teacher of {sizes.layers} x {sizes.width} with random weights (10 to 30 s) …", flush=True)
        export_random_teacher(Path(folder), sizes)
        yield Path(folder), f"{sizes.layers} layers x {sizes.width}, {RANDOM_WEIGHTS}"


@contextlib.contextmanager
def server(repository: Path | None = None, teacher: Path | None = None) -> Iterator[EmbeddedServer]:
    """Run a server on free ports; the lexicons are always the shipped ones.

    A long run of tests starts it a hundred times. A port that was free can be taken a moment later by another program,
    so a start that failed is tried again.
    """
    options = ServerOptions(
        repository=repository or REPOSITORY,
        lexicon_directory=ROOT / "lexicons",
        grpc_port=0,
        http_port=0,
        metrics_port=0,
        teacher=teacher,
    )
    for attempt in range(1, STARTS + 1):
        running = EmbeddedServer(options)
        try:
            running.start()
            break
        except ServerError as error:
            if attempt == STARTS:
                raise
            print(f"the server did not start ({error}); trying again", flush=True)
            print("\n".join(running.last_log_lines(12)), flush=True)
    try:
        yield running
    finally:
        running.stop()
