"""Command ``distillex repository``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from distillex.command.options import EXIT_PRECONDITION, fail
from distillex.gpu.network import check_gpu_network
from distillex.models import DEFAULT_MODEL, find_model
from distillex.network import Network
from distillex_client.errors import ModelNotFound
from distillex_matcher import LayoutError
from distillex_matcher.exported import GPU_NETWORK_FILE, NETWORK_FILE

from distillex_serving.errors import PreconditionError
from distillex_serving.locations import shipped_configurations
from distillex_serving.repository import Layout, compose, copy, network_of


def repository(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; it must not exist yet.")],
    student: Annotated[
        str, typer.Option(help="NAME of models/student-NAME, or a folder written by 'distillex export'.")
    ] = DEFAULT_MODEL,
    teacher: Annotated[Path | None, typer.Option(help="Folder of an exported teacher, for extractor_teacher.")] = None,
    layout: Annotated[
        Layout,
        typer.Option(
            help="fused: one Python model on a CPU; gpu: the same with the network on a GPU; ensemble: "
            "three models, the network in the Python backend; onnxruntime, tensorrt: the same three, "
            "with the network in that Triton backend."
        ),
    ] = Layout.FUSED,
    configurations: Annotated[
        Path | None, typer.Option(help="Folder of the models' configurations; default: the shipped ones.")
    ] = None,
) -> None:
    """Write a model repository for a Triton server of your own, such as NVIDIA's image.

    Its Python models need the packages distillex and distillex_serving on that server. They read lexicons from
    DISTILLEX_LEXICON_DIR, or from a folder "lexicons" next to the repository.
    """
    network = network_of(layout)
    try:
        folder, taught_by = find_model(student, network), find_model(teacher, network) if teacher is not None else None
        for exported in (folder, taught_by):
            # Broken, or of two models: told here, and not by the server that the repository is made for.
            if exported is not None and network == NETWORK_FILE:
                Network(exported)
            if exported is not None and network == GPU_NETWORK_FILE:
                check_gpu_network(exported)
        if output.exists() or output.is_symlink():
            raise PreconditionError(f"{output} already exists: remove it, or give another folder")
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
        # All is there before it has its name: no failure and no kill leaves a part of a repository.
        with tempfile.TemporaryDirectory(dir=output.absolute().parent, prefix=f".{output.name}-") as staging:
            staged = Path(staging) / "repository"
            source = configurations or shipped_configurations()
            compose(staged, configurations=source, student=folder, teacher=taught_by, layout=layout, place=copy)
            staged.rename(output)
    except (PreconditionError, ModelNotFound, LayoutError) as error:
        fail("repository", str(error), EXIT_PRECONDITION)
    except OSError as error:
        fail("repository", f"{error.filename or output}: {error.strerror}", EXIT_PRECONDITION)
    for path in sorted(output.rglob("config.pbtxt")):
        typer.echo(str(path))
