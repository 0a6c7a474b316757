"""brat's standoff: ``NAME.txt`` and beside it ``NAME.ann`` with ``T1<TAB>TYPE START END<TAB>SURFACE``."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.reading import Labelled, Reading, Source
from distillex_training.data.formats.writing import Output
from distillex_training.data.records import GoldSpan, Record, bytes_of, decoded, lines_of
from distillex_training.errors import DataError

BYTE_ORDER_MARK = "\ufeff"
TEXT_SUFFIX, ANNOTATION_SUFFIX = ".txt", ".ann"
CONFIGURATION, CONFIGURATION_SUFFIX = "annotation.conf", ".conf"
ENTITY = re.compile(r"T\S+\t(\S+) (\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?")
LINE_ENDS = re.compile(r"[\r\n]+")
OTHERS = ("R", "E", "A", "M", "N", "*", "#")


def is_annotation(line: str) -> bool:
    """Tell whether a line says what an entity is."""
    return ENTITY.fullmatch(line) is not None


def annotation_of(text: Path) -> Path | None:
    """Return the annotation beside a text; None where there is none."""
    beside = text.with_suffix(ANNOTATION_SUFFIX)
    return beside if text.suffix == TEXT_SUFFIX and beside.is_file() else None


def read_brat(source: Source) -> Reading:
    """Read the annotation of a document; the document is one record.

    An entity in several pieces is read where white space alone parts them (as brat writes one over a line end); of
    others the document is refused. Relations, attributes and notes are passed over, and so are the triggers of events.

    Raises
    ------
    DataError
        Where there is no text beside it.
    """
    reading = Reading(source.path, source.options)
    path = source.path.with_suffix(TEXT_SUFFIX)
    if not path.is_file():
        raise DataError(f"{source.path}: no text beside it: {path} is missing")
    # Line ends and a byte order mark stay as they are: offsets count them.
    text = decoded(path, source.options.encoding, bytes_of(path))
    lines = [(number, line) for number, line in lines_of(source.text) if line.strip()]
    triggers = {line.split("\t")[1].split(" ")[0].rpartition(":")[2] for _, line in lines if _is_event(line)}
    labelled: list[Labelled] = []
    reasons: list[str] = []
    passed_over = 0
    for number, line in lines:
        if not line.startswith("T"):
            passed_over += line.startswith(OTHERS)
            if not line.startswith(OTHERS):
                reasons.append(f"line {number}: {line[:40]!r} is no annotation of brat's")
            continue
        match = ENTITY.fullmatch(line)
        if match is None:
            reasons.append(f"line {number}: {line[:60]!r} is not T…, a tab, type, start and end, a tab, text")
        elif line.split("\t")[0] in triggers:
            passed_over += 1
        else:
            span, reason = _span(match[1], match[2], match[3], text)
            labelled += [] if span is None else [span]
            reasons += [] if span is not None else [f"line {number}: {reason}"]
    if text.startswith(BYTE_ORDER_MARK):
        text = text.removeprefix(BYTE_ORDER_MARK)
        labelled = [(replace(span, start=span.start - 1, end=span.end - 1), surface) for span, surface in labelled]
    reading.add(1, text, labelled, reasons)
    if passed_over:
        reading.notes.append(f"{source.path}: {passed_over} annotations passed over that are no entities")
    return reading.finish()


def write_brat(records: Sequence[Record], output: Output) -> None:
    """Write a folder: a document for each record, and ``annotation.conf`` with the types.

    Raises
    ------
    DataError
        For a folder that holds documents already.
    """
    folder = output.path
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: brat's documents go to a folder of their own, and this is not an empty one")
    width = len(str(len(records)))
    for number, record in enumerate(records, start=1):
        name = f"{number:0{width}}"
        write_atomically(folder / f"{name}{TEXT_SUFFIX}", record.text)
        lines = [_line(number, record, span) for number, span in enumerate(record.spans, start=1)]
        write_atomically(folder / f"{name}{ANNOTATION_SUFFIX}", "".join(lines))
    types = sorted({span.type for record in records for span in record.spans})
    sections = ("[entities]", *types, "", "[relations]", "", "[events]", "", "[attributes]", "")
    write_atomically(folder / CONFIGURATION, "\n".join(sections))


def _is_event(line: str) -> bool:
    return line.startswith("E") and "\t" in line


def _line(number: int, record: Record, span: GoldSpan) -> str:
    """Return an entity's line; at line ends it is cut, as brat does it."""
    surface = record.text[span.start : span.end]
    pieces = [(match.start() + span.start, match.end() + span.start) for match in re.finditer(r"[^\r\n]+", surface)]
    places = ";".join(f"{start} {end}" for start, end in pieces)
    shown = LINE_ENDS.sub(" ", surface)
    return f"T{number}\t{span.type} {places}\t{shown}\n"


def _span(kind: str, places: str, surface: str | None, text: str) -> tuple[Labelled | None, str]:
    pieces = [tuple(map(int, piece.split(" "))) for piece in places.split(";")]
    start, end = pieces[0][0], pieces[-1][1]
    if len(pieces) == 1:
        return (GoldSpan(start, end, kind), surface), ""
    for (_, before), (after, _) in itertools.pairwise(pieces):
        if before > after or text[before:after].strip():
            return None, f"{kind} {places} {surface!r} is in pieces: an entity is one stretch of text here"
    return (GoldSpan(start, end, kind), None), ""
