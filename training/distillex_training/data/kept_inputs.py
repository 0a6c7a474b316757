"""Check that no input is overwritten, before any work is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from distillex_training.data.convert import input_files
from distillex_training.data.formats.brat import ANNOTATION_SUFFIX, TEXT_SUFFIX


def is_input(output: Path, inputs: Iterable[Path | None]) -> bool:
    """Tell whether writing a file would lose one that is read.

    Parameters
    ----------
    output
        What is to be written, a file or a folder.
    inputs
        Files, and folders of which :func:`~distillex_training.data.convert.input_files` are read; None and what does
        not exist are passed over.

    Raises
    ------
    DataError
        For a folder without files.
    """
    if not output.exists():
        return False
    return any(
        output.samefile(file) or (file.is_dir() and file.resolve() in output.resolve().parents)
        for path in inputs
        if path is not None and path.exists()
        for file in _files(path)
    )


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for file in input_files([path]):
            yield from [file] if file == path else _files(file)
        return
    yield path
    # Of brat's two files either names the other.
    beside = {ANNOTATION_SUFFIX: TEXT_SUFFIX, TEXT_SUFFIX: ANNOTATION_SUFFIX}.get(path.suffix)
    if beside is not None and path.with_suffix(beside).is_file():
        yield path.with_suffix(beside)
