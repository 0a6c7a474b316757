"""The embedded server that load tests drive: student and, where wanted, teacher, on free ports."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from distillex_serving.embedded import EmbeddedServer, ServerOptions
from distillex_serving.locations import shipped_configurations
from distillex_serving.repository import EXTRACTOR, TEACHER_NAMES, Layout
from random_teacher import TeacherSizes, export_random_teacher

MODEL, TEACHER_MODEL = EXTRACTOR, TEACHER_NAMES[EXTRACTOR]
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


def server(
    configurations: Path | None = None, teacher: Path | None = None, layout: Layout = Layout.FUSED
) -> EmbeddedServer:
    """Return a server on free ports, to be started by ``with``; students and lexicons are the shipped ones."""
    options = ServerOptions(
        repository=configurations or shipped_configurations(),
        teacher=teacher,
        layout=layout,
        grpc_port=0,
        http_port=0,
        metrics_port=0,
    )
    return EmbeddedServer(options)
