"""Labelled files of any format → our JSON Lines, split into training and development sentences where asked."""

from __future__ import annotations

import dataclasses
import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

from distillex_matcher import normalize

from distillex_training.data.formats import arrow, brat
from distillex_training.data.formats.options import ReadingOptions
from distillex_training.data.formats.reading import Reading, Source
from distillex_training.data.formats.registry import Format, read
from distillex_training.data.labelled import sentence_ends
from distillex_training.data.records import GoldSpan, Record
from distillex_training.errors import DataError


def input_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files among ``paths``, and all visible files directly in the folders among them, by name.

    A data set that ``Dataset.save_to_disk`` wrote stands for itself, one of several for each of them; a text of brat's
    for the annotation beside it.

    Raises
    ------
    DataError
        For a path that does not exist, or where nothing is left.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += _files_in(path)
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"{path}: no such file or folder")
    if not files:
        raise DataError(f"no file in {', '.join(map(str, paths))}")
    return list(dict.fromkeys(brat.annotation_of(file) or file for file in files))


def _files_in(folder: Path) -> list[Path]:
    if arrow.is_dataset(folder):
        return [folder]
    if (folder / arrow.SPLITS_FILE).is_file():
        return arrow.splits_of(folder)
    files = sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))
    if any(each.suffix == brat.ANNOTATION_SUFFIX for each in files):
        return [each for each in files if each.suffix != brat.CONFIGURATION_SUFFIX]
    return files


def read_any(path: Path, kind: Format = Format.AUTO, options: ReadingOptions | None = None) -> Reading:
    """Read a file of any format.

    Raises
    ------
    DataError
        For a file that cannot be read at all; single records with problems are in the reading.
    """
    return read(Source(path, options or ReadingOptions()), kind)


def text_key(text: str) -> str:
    """Return what makes two texts the same sentence: normalised characters without white space."""
    return "".join(normalize(text).split())


def split(records: Sequence[Record], dev_share: float, seed: int) -> tuple[list[Record], list[Record]]:
    """Draw a development set; the same sentence (after normalisation) never lies on both sides.

    The draw depends on a sentence's text and the seed alone, so a file that grows keeps its old split.

    Returns
    -------
    tuple
        Training and development records, in file order.
    """
    train: list[Record] = []
    dev: list[Record] = []
    for record in records:
        digest = hashlib.sha256(f"{seed}\0{text_key(record.text)}".encode()).digest()
        (dev if int.from_bytes(digest[:8], "big") < dev_share * 2**64 else train).append(record)
    return train, dev


def sentences_of(record: Record) -> list[Record]:
    """Cut a text after each end of a sentence that lies in no span; pieces of white space alone are left out."""
    bounds = list(dict.fromkeys([0, *_cuts(record), len(record.text)]))
    inside: list[list[GoldSpan]] = [[] for _ in bounds]
    for span in record.spans:
        inside[bisect_right(bounds, span.start) - 1].append(span)
    parts = (_part(record, *each) for each in zip(bounds[:-1], bounds[1:], inside[:-1], strict=True))
    return [part for part in parts if part is not None]


def _cuts(record: Record) -> Iterator[int]:
    """Yield the ends of sentences that lie in no span."""
    spans = sorted(record.spans)
    begun = reach = 0
    for end in sentence_ends(record.text):
        while begun < len(spans) and spans[begun].start < end:
            reach = max(reach, spans[begun].end)
            begun += 1
        if reach <= end:
            yield end


def _part(record: Record, begin: int, end: int, inside: Sequence[GoldSpan]) -> Record | None:
    """Return a part of a record without white space at its ends, None where there is nothing else."""
    content = record.text[begin:end]
    if not content.strip():
        return None
    first = min([begin + len(content) - len(content.lstrip()), *(span.start for span in inside)])
    last = max([begin + len(content.rstrip()), *(span.end for span in inside)])
    return dataclasses.replace(
        record,
        text=record.text[first:last],
        spans=tuple(dataclasses.replace(span, start=span.start - first, end=span.end - first) for span in inside),
        open=tuple(
            dataclasses.replace(each, start=max(each.start, first) - first, end=min(each.end, last) - first)
            for each in record.open
            if each.start < last and first < each.end
        ),
    )
