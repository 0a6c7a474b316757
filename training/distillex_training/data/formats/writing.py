"""What all writers share: where to, what a file says of who labelled it, and files that appear whole."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillex_training.data.formats.options import Scheme


@dataclass(frozen=True)
class Output:
    """Where and how to write records."""

    path: Path
    scheme: Scheme = Scheme.BIO2
    """Of tags."""
    model: str = ""
    """Which model labelled the texts, for a person to look over; empty: they are labelled."""
    confidences: tuple[float, ...] = ()
    """The model's confidence in each record, 0 to 1; empty: not known."""

    def confidence(self, number: int) -> float | None:
        """Return the model's confidence in a record."""
        return round(self.confidences[number], 6) if self.confidences else None


def json_lines_of(values: Iterable[Any]) -> str:
    """Return values as JSON Lines."""
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def json_array_of(values: Iterable[Any]) -> str:
    """Return values as a JSON array, one a line."""
    return "[\n" + ",\n".join(json.dumps(value, ensure_ascii=False) for value in values) + "\n]\n"


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written beside ``path``, then rename it: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
