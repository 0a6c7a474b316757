"""The files of a teacher cache: what each part stores of a sentence, and how a broken-off file is cut back."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from distillex_matcher import CrfDecoder
from numpy.typing import NDArray

from distillex_training.errors import NotFiniteError

LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Outputs:
    """What a teacher says of some sentences; T = their longest, ``[CLS]`` and ``[SEP]`` included."""

    texts: list[str]
    lengths: NDArray[np.int32]
    """*Shape:* [B, 1]."""
    emissions: NDArray[np.float32]
    """*Shape:* [B, T, L]."""
    hidden: NDArray[np.float32]
    """*Shape:* [B, T, W]."""


@dataclass(frozen=True)
class PartFile:
    """A file of a part, and the bytes that a sentence takes in it; both 0: a line of JSON."""

    name: str
    bytes_per_character: int = 0
    bytes_per_sentence: int = 0

    @property
    def is_lines(self) -> bool:
        """Tell whether it is lines of JSON."""
        return not self.bytes_per_character and not self.bytes_per_sentence


def files_of(part: str, labels: int, width: int) -> list[PartFile]:
    """Return the files of a part: ``spans``, ``emissions``, ``hidden`` or ``pathsK``."""
    if part == "spans":
        return [PartFile("spans.jsonl"), PartFile("marginals.f16", 2 * labels)]
    if part == "emissions":
        return [PartFile("emissions.f16", 2 * labels)]
    if part == "hidden":
        return [PartFile("hidden.f16", 2 * width)]
    k = int(part.removeprefix("paths"))
    name, dtype = paths_file(part, labels)
    return [PartFile(name, dtype.itemsize * k), PartFile(f"{part}-scores.f32", 0, 4 * k)]


def paths_file(part: str, labels: int) -> tuple[str, np.dtype[Any]]:
    """Return the name of the file of a part ``pathsK`` and what a label is stored as: a byte where 256 do, else two."""
    dtype = np.min_scalar_type(labels - 1)
    return f"{part}.u{8 * dtype.itemsize}", dtype


def rows_of(part: str, outputs: Outputs, decoder: CrfDecoder, types: Sequence[str]) -> dict[str, list[bytes]]:
    """Return what each file of a part gets for these sentences, a piece a sentence.

    Raises
    ------
    NotFiniteError
        For outputs that are no numbers, or that float16 does not hold.
    """
    lengths = [len(text) for text in outputs.texts]
    for values in (outputs.emissions, outputs.hidden):
        if not all((np.abs(values[row, 1 : 1 + length]) <= LARGEST).all() for row, length in enumerate(lengths)):
            raise NotFiniteError(f"the teacher gives what is no number or beyond ±{LARGEST:.0f}: it is damaged")
    if part == "emissions":
        return {"emissions.f16": _characters(outputs.emissions, lengths)}
    if part == "hidden":
        return {"hidden.f16": _characters(outputs.hidden, lengths)}
    if part == "spans":
        found: list[list[tuple[int, int, str, float]]] = [[] for _ in lengths]
        spans = decoder.decode(outputs.emissions, outputs.lengths)
        for row, start, end, kind, posterior in zip(*(column.tolist() for column in spans), strict=True):
            found[row].append((start, end, types[kind], round(posterior, 4)))
        lines = [
            json.dumps({"text": text, "spans": found[row]}, ensure_ascii=False).encode() + b"\n"
            for row, text in enumerate(outputs.texts)
        ]
        marginals = decoder.marginals(outputs.emissions, outputs.lengths)
        return {"spans.jsonl": lines, "marginals.f16": _characters(marginals, lengths)}
    k = int(part.removeprefix("paths"))
    name, dtype = paths_file(part, outputs.emissions.shape[2])
    paths, scores = [], []
    for length, best in zip(lengths, decoder.best_paths(outputs.emissions, outputs.lengths, k), strict=True):
        labels = np.zeros((length, k), dtype=dtype)
        values = np.full(k, -np.inf, dtype=np.float32)  # a short sentence may have fewer paths
        for place, (path, value) in enumerate(best):
            labels[:, place], values[place] = path, value
        paths.append(labels.tobytes())
        scores.append(values.tobytes())
    return {name: paths, f"{part}-scores.f32": scores}


def size_of(file: PartFile, texts: Sequence[str]) -> int:
    """Return the bytes that a file of arrays takes for some sentences."""
    return sum(len(text) * file.bytes_per_character + file.bytes_per_sentence for text in texts)


def finished(path: Path, file: PartFile, texts: Sequence[str]) -> int:
    """Count the sentences, from the first, that a file at a path holds in full.

    Parameters
    ----------
    path
        Where the file is, or is not yet.
    file
        What it holds of a sentence.
    texts
        All sentences that it is to hold, in order. Of lines of JSON, those count that name these.
    """
    if not path.exists():
        return 0
    if file.is_lines:
        lines = path.read_bytes().split(b"\n")[:-1]
        named = zip(lines, texts, strict=False)
        return next(
            (row for row, (line, text) in enumerate(named) if not _names(line, text)), min(len(lines), len(texts))
        )
    sizes = [size_of(file, [text]) for text in texts]
    return int(np.searchsorted(np.cumsum(sizes), path.stat().st_size, side="right"))


def is_whole(path: Path, file: PartFile, texts: Sequence[str]) -> bool:
    """Tell whether a file at a path holds all sentences and nothing else."""
    if finished(path, file, texts) < len(texts) or not path.exists():
        return False
    if file.is_lines:
        return path.read_bytes().count(b"\n") == len(texts)
    return path.stat().st_size == size_of(file, texts)


def cut(path: Path, file: PartFile, texts: Sequence[str]) -> None:
    """Cut a file at a path back to the sentences ``texts``, the first that it holds; begin it where there is none."""
    path.touch()
    if file.is_lines:
        size = sum(len(line) + 1 for line in path.read_bytes().split(b"\n")[: len(texts)])
    else:
        size = size_of(file, texts)
    os.truncate(path, size)


def _names(line: bytes, text: str) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and record.get("text") == text and isinstance(record.get("spans"), list)


def _characters(values: NDArray[np.float32], lengths: Sequence[int]) -> list[bytes]:
    """Float16 rows of the characters alone, without ``[CLS]``, ``[SEP]`` and padding."""
    return [values[row, 1 : 1 + length].astype(np.float16).tobytes() for row, length in enumerate(lengths)]
