"""Hugging Face's ``tokens`` and ``ner_tags`` as Parquet, Arrow files, or folders of ``Dataset.save_to_disk``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from distillex_training.data.formats.options import Scheme
from distillex_training.data.formats.reading import Reading, Source
from distillex_training.data.formats.tags import LETTERS, OUTSIDE, tags_of
from distillex_training.data.formats.token_tags import keys_of, take_rows
from distillex_training.data.formats.writing import Output, write_with
from distillex_training.data.records import Record
from distillex_training.errors import DataError

PARQUET_MAGIC, ARROW_MAGIC, ARROW_STREAM_MAGIC = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
DATASET_FILE, SPLITS_FILE = "state.json", "dataset_dict.json"
"""What ``save_to_disk`` writes into the folder of a data set, and into one of several."""
METADATA_KEY = b"huggingface"


def is_dataset(folder: Path) -> bool:
    """Tell whether a folder is one data set that ``save_to_disk`` wrote."""
    return (folder / DATASET_FILE).is_file()


def splits_of(folder: Path) -> list[Path]:
    """Return the data sets of a folder, in the order in which it names them.

    Raises
    ------
    DataError
        For one that is missing.
    """
    names = json.loads((folder / SPLITS_FILE).read_text(encoding="utf-8"))["splits"]
    for name in names:
        if not is_dataset(folder / name):
            raise DataError(f"{folder}: names the split {name!r}, whose folder is missing")
    return [folder / name for name in names]


def read_arrow(source: Source) -> Reading:
    """Read rows of tokens and tags; the names of tags that are numbers are those of the file, or of the options.

    Raises
    ------
    DataError
        Without pyarrow, for a file that it does not read, or whose columns are others.
    """
    table = _table(source)
    reading = Reading(source.path, source.options)
    rows = list(_rows(table))
    keys = next((keys for _, row in rows if (keys := keys_of(row)) is not None), None)
    if keys is None:
        raise DataError(
            f"{source.path}: its columns are {', '.join(map(repr, table.column_names)) or 'none'}; expected tokens (a "
            "list of strings) and ner_tags (a list of tags)"
        )
    names = source.options.tag_names or _names_in(table, keys[1])
    return take_rows(reading, rows, names)


def write_parquet(records: Sequence[Record], output: Output) -> None:
    """Write a token a character and the tags by number, with the names that ``datasets`` reads as a ``ClassLabel``.

    Records have no overlapping spans.

    Raises
    ------
    DataError
        Without pyarrow.
    """
    pyarrow = _pyarrow(output.path)
    names = tag_names(sorted({span.type for record in records for span in record.spans}), output.scheme)
    numbers = {name: number for number, name in enumerate(names)}
    tags = [[numbers[tag] for tag in tags_of(len(each.text), each.spans, output.scheme)] for each in records]
    strings, integers = pyarrow.list_(pyarrow.string()), pyarrow.list_(pyarrow.int64())
    features = {
        "tokens": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"},
        "ner_tags": {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"},
    }
    schema = pyarrow.schema(
        [("tokens", strings), ("ner_tags", integers)],
        metadata={METADATA_KEY: json.dumps({"info": {"features": features}}, ensure_ascii=False)},
    )
    table = pyarrow.table({"tokens": [list(each.text) for each in records], "ner_tags": tags}, schema=schema)
    write_with(output.path, lambda path: pyarrow.parquet.write_table(table, path))


def tag_names(types: Sequence[str], scheme: Scheme) -> list[str]:
    """Return all tags of some types in a scheme, ``O`` first."""
    letters = dict.fromkeys(LETTERS[scheme])
    return [OUTSIDE, *(f"{letter}-{kind}" for kind in types for letter in letters)]


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(f"{path}: Parquet and Arrow files need pyarrow: pip install 'distillex[parquet]'") from None
    return pyarrow


def _table(source: Source) -> Any:
    pyarrow = _pyarrow(source.path)
    path = source.path
    try:
        if not path.is_dir():
            if source.content.startswith(PARQUET_MAGIC):
                return pyarrow.parquet.read_table(path)
            return _arrow_table(pyarrow, path)
        state = json.loads((path / DATASET_FILE).read_text(encoding="utf-8"))
        if state.get("_indices_data_files"):
            raise DataError(f"{path}: its rows were chosen or shuffled: save it after flatten_indices()")
        return pyarrow.concat_tables([_arrow_table(pyarrow, path / each["filename"]) for each in state["_data_files"]])
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: pyarrow does not read it: {error}") from None


def _arrow_table(pyarrow: Any, path: Path) -> Any:
    with pyarrow.memory_map(str(path)) as file:
        head = file.read(len(ARROW_MAGIC))
        file.seek(0)
        opened = pyarrow.ipc.open_file if head == ARROW_MAGIC else pyarrow.ipc.open_stream
        return opened(file).read_all()


def _rows(table: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    for batch in table.to_batches():
        for row in batch.to_pylist():
            number += 1
            yield number, row


def _names_in(table: Any, column: str) -> tuple[str, ...]:
    """Return the names of a column's ``ClassLabel``; none where the file says nothing of it."""
    try:
        features = json.loads((table.schema.metadata or {})[METADATA_KEY])["info"]["features"]
        names = features[column]["feature"]["names"]
    except (KeyError, ValueError, TypeError):
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()
