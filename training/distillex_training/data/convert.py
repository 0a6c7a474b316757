"""Other tools' labelled files → our JSON Lines, split into training and development sentences where asked."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from distillex_matcher import normalize
from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.cluener import read_cluener
from distillex_training.data.formats.columns import Scheme, read_columns
from distillex_training.data.formats.doccano import read_doccano
from distillex_training.data.formats.label_studio import read_label_studio
from distillex_training.data.formats.reading import Reading
from distillex_training.data.records import UTF_8, DataError, Record, lines_of, read_records, read_text


class Format(str, enum.Enum):
    """The formats that ``distillex data convert`` reads."""

    AUTO = "auto"
    COLUMNS = "columns"
    CLUENER = "cluener"
    DOCCANO = "doccano"
    LABEL_STUDIO = "label-studio"
    DISTILLEX = "distillex"


def input_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files among ``paths``, and all visible files directly in the folders among them, by name.

    Raises
    ------
    DataError
        For a path that does not exist, or where nothing is left.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"{path}: no such file or folder")
    if not files:
        raise DataError(f"no file in {', '.join(map(str, paths))}")
    return files


def detect_format(path: Path, content: str) -> Format:
    """Tell a file's format by its first record.

    Parameters
    ----------
    path
        The file, for messages.
    content
        Its text.

    Raises
    ------
    DataError
        For an empty file, or JSON of no known form.
    """
    first = next((line for _, line in lines_of(content) if line.strip()), None)
    if first is None:
        raise DataError(f"{path}: the file is empty")
    if first.lstrip().startswith("["):
        return Format.LABEL_STUDIO
    if not first.lstrip().startswith("{"):
        return Format.COLUMNS
    try:
        record = json.loads(first)
    except (ValueError, RecursionError):
        raise DataError(f"{path}: begins like JSON but its first line is none; name the format with --format") from None
    label, entities = record.get("label", record.get("labels")), record.get("entities")
    if isinstance(label, dict):
        return Format.CLUENER
    if isinstance(label, list) or (
        isinstance(entities, list) and any(isinstance(e, dict) and "start_offset" in e for e in entities)
    ):
        return Format.DOCCANO
    if isinstance(entities, list):
        return Format.DOCCANO if "relations" in record else Format.DISTILLEX
    raise DataError(
        f"{path}: its first record has the keys {', '.join(map(repr, record))}: none of the known formats; accepted: "
        f"{', '.join(f.value for f in Format)} (--format)"
    )


def read_any(
    path: Path, kind: Format = Format.AUTO, scheme: Scheme = Scheme.AUTO, joiner: str = "", encoding: str = UTF_8
) -> Reading:
    """Read a file of any format.

    Raises
    ------
    DataError
        For a file that cannot be read at all; single records with problems are in the reading.
    """
    content = read_text(path, encoding)
    if kind is Format.AUTO:
        kind = detect_format(path, content)
    if kind is Format.COLUMNS:
        return read_columns(path, content, scheme, joiner)
    if kind is Format.DISTILLEX:
        file = read_records(path, text=content)
        refused = len({problem.line for problem in file.problems})
        return Reading(path, file.records, file.problems, refused)
    readers = {Format.CLUENER: read_cluener, Format.DOCCANO: read_doccano, Format.LABEL_STUDIO: read_label_studio}
    return readers[kind](path, content)


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


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Write records as our JSON Lines, atomically."""
    write_atomically(path, "".join(record.json_line() for record in records))
