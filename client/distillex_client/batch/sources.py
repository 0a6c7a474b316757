"""Find the input files of a batch run, and their formats by name."""

from __future__ import annotations

import enum
import errno
import glob
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distillex_client.errors import WrongUse

STANDARD_INPUT = "-"
COMPRESSION_SUFFIXES = (".gz", ".zst", ".zstd")


class InputFormat(str, enum.Enum):
    """Forms of input."""

    TXT = "txt"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"


SUFFIXES = {
    "": InputFormat.TXT,
    ".txt": InputFormat.TXT,
    ".text": InputFormat.TXT,
    ".md": InputFormat.TXT,
    ".log": InputFormat.TXT,
    ".jsonl": InputFormat.JSONL,
    ".ndjson": InputFormat.JSONL,
    ".json": InputFormat.JSON,
    ".csv": InputFormat.CSV,
    ".tsv": InputFormat.TSV,
    ".tab": InputFormat.TSV,
    ".parquet": InputFormat.PARQUET,
}


@dataclass(frozen=True)
class Source:
    """One file, or standard input."""

    name: str
    format: InputFormat
    size_bytes: int
    """As it lies on the disk; 0 where that is not known."""


def find_sources(names: Sequence[str], form: InputFormat | None) -> list[Source]:
    """Turn names and globs into sources, the files of a glob in the order of their names.

    Raises
    ------
    WrongUse
        When a file does not exist, cannot be read or is a directory, a glob matches nothing, or a name does not tell
        the format.
    """
    sources = []
    for name in names:
        if name == STANDARD_INPUT:
            sources.append(_piped(name, form or InputFormat.TXT))
            continue
        found = [name]
        if glob.has_magic(name) and not os.path.lexists(name):
            found = sorted(path for path in glob.iglob(name, recursive=True) if not Path(path).is_dir())  # noqa: PTH207
            if not found:
                raise WrongUse(f"{name}: no file matches")
        sources += [_source(path, form) for path in found]
    if sum(source.name == STANDARD_INPUT for source in sources) > 1:
        raise WrongUse("- is given twice: standard input can be read only once")
    return sources


def _source(name: str, form: InputFormat | None) -> Source:
    try:
        status = Path(name).stat()
    except OSError as error:
        raise WrongUse(f"{name}: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        raise WrongUse(f"{name} is a directory; '{Path(name) / '*'}' names the files in it")
    if not os.access(name, os.R_OK):
        raise WrongUse(f"{name}: {os.strerror(errno.EACCES)}")
    form = form or _format_of(name)
    return Source(name, form, status.st_size) if stat.S_ISREG(status.st_mode) else _piped(name, form)


def _piped(name: str, form: InputFormat) -> Source:
    if form is InputFormat.PARQUET:
        raise WrongUse(f"{name}: Parquet cannot be read from standard input or a pipe, only from files")
    return Source(name, form, 0)


def _format_of(name: str) -> InputFormat:
    path = Path(name.lower())
    if path.suffix in COMPRESSION_SUFFIXES:
        path = path.with_suffix("")
    form = SUFFIXES.get(path.suffix)
    if form is None:
        known = ", ".join(suffix for suffix in SUFFIXES if suffix)
        raise WrongUse(
            f"{name}: {path.suffix!r} is not a known format; --input-format gives it "
            f"({', '.join(each.value for each in InputFormat)}), or a name that ends with {known}, then .gz or .zst"
        )
    return form
