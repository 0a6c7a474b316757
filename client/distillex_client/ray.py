"""Extraction over Parquet files on a Ray cluster.

Each worker process calls a server or opens its own model.

Why Ray and not Spark: pip alone installs it, its workers are Python processes that keep one connection or model each,
and it restarts a worker that died and repeats its unfinished work. This module schedules nothing itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from distillex_client.batch.connection import Connection
from distillex_client.batch.extraction import Caller, ExtractionSource
from distillex_client.batch.fields import ReadingOptions, record_of
from distillex_client.batch.pipeline import extract_chunks
from distillex_client.batch.records import BadRecord, Extracted, Record, cut_chunks
from distillex_client.entity import Entity
from distillex_client.errors import WrongUse, missing_extra
from distillex_client.protocol import Lexicon, Trust, check_lexicon, check_trust
from distillex_client.selection import Selection

LOG = logging.getLogger("distillex.client")
ROWS_OF_A_TASK = 2048
ROWS_OF_A_FILE = 200_000
"""What a worker that died does again, at most."""


@dataclass(frozen=True)
class TableExtraction:
    """How to extract from a table."""

    connection: ExtractionSource
    """A :class:`~distillex_client.batch.Connection`; or ``distillex.batch.LocalExtraction(…)``: each worker opens the
    model, whose files lie at the same place on each machine, and keeps a core busy.
    """
    text_column: str = "text"
    entities_column: str = "entities"
    problem_column: str = "problem"
    """Why a row has no entities; null where it has."""
    lexicon: Lexicon = field(default_factory=dict)
    lexicon_name: str | None = None
    trust: Trust | None = None
    """Trust in words of both lexicons that have none of their own."""
    batch_size: int = 64
    concurrency: int = 2
    """Requests in flight of one worker, where it calls a server."""
    retry_for_s: float = 60.0
    min_score: float = 0.0
    "Leave out entities with a lower score."
    types: Iterable[str] | None = None
    """Leave out entities of other types."""

    def __post_init__(self) -> None:
        check_lexicon(self.lexicon)
        check_trust(self.trust)
        object.__setattr__(self, "types", self.selection().types)

    def selection(self) -> Selection:
        """Return which entities are wanted."""
        return Selection(self.min_score, self.types)

    def cores_of_a_worker(self) -> float:
        """Return what Ray reserves; a worker that calls a server waits for it most of the time."""
        return 0.5 if isinstance(self.connection, Connection) else 1.0


@dataclass(frozen=True)
class Counts:
    """What a run did."""

    rows: int
    bad: int


class TableExtractor:
    """A worker: keeps its connection or its model, adds two columns to each table that it is given."""

    def __init__(self, extraction: TableExtraction) -> None:
        self._extraction = extraction
        self._opened = ExitStack()
        self._caller: Caller | None = None

    def __call__(self, table: Any) -> Any:
        """Return the table with its entities; a bad row has none (null) and a reason beside it."""
        import pyarrow as pa

        from distillex_client.batch.parquet import entities_column, texts_of

        extraction = self._extraction
        options = ReadingOptions(text_field=extraction.text_column, entities_field=extraction.entities_column)
        column = table.column(extraction.text_column).combine_chunks()
        items = [
            BadRecord(f"row {row}", f"{extraction.text_column!r} is not UTF-8")
            if isinstance(text, UnicodeDecodeError)
            else record_of(f"row {row}", {extraction.text_column: text}, options)
            for row, text in enumerate(texts_of(column))
        ]
        found: list[Sequence[Entity] | None] = []
        problems: list[str | None] = []
        for result in self._results(items):
            found.append(result.entities if isinstance(result, Extracted) else None)
            problems.append(result.reason if isinstance(result, BadRecord) else None)
        table = table.append_column(extraction.entities_column, entities_column(found))
        return table.append_column(extraction.problem_column, pa.array(problems, pa.string()))

    def _results(self, items: Sequence[Record | BadRecord]) -> list[Extracted | BadRecord]:
        extraction = self._extraction
        if self._caller is None:
            self._caller = self._opened.enter_context(extraction.connection.open(extraction))
        chunks = extract_chunks(
            cut_chunks(items, 0),
            self._caller,
            batch_size=extraction.batch_size,
            concurrency=extraction.concurrency,
            selection=extraction.selection(),
        )
        try:
            return [result for finished in chunks for result in finished.results]
        except BaseException:
            # A caller that was stopped is of no more use.
            self._caller = None
            self._opened.close()
            raise


def extract_dataset(dataset: Any, extraction: TableExtraction, *, workers: int = 2) -> Any:
    """Return a Ray dataset with the entities of each row; nothing runs before it is consumed.

    Parameters
    ----------
    dataset
        A ``ray.data.Dataset`` with a column of texts.
    extraction
        How to extract.
    workers
        Processes of the cluster that extract. One that dies is started anew, and its rows are extracted again.

    Raises
    ------
    WrongUse
        When a column is missing, or one of those to be added is there.
    """
    _check_columns(dataset.columns() or [], extraction)
    return dataset.map_batches(
        TableExtractor,
        fn_constructor_args=(extraction,),
        batch_size=ROWS_OF_A_TASK,
        batch_format="pyarrow",
        compute=_ray().data.ActorPoolStrategy(size=workers),
        num_cpus=extraction.cores_of_a_worker(),
    )


@dataclass(frozen=True)
class Piece:
    """The rows of one file of the output."""

    name: str
    """Of the file; the order of the names is that of the rows."""
    parts: tuple[tuple[Any, int, int], ...]
    """A ``pyarrow.dataset`` fragment of one row group, the first of its rows that belong here, and how many do."""
    schema: Any
    """Of the input."""

    def tables(self) -> Iterator[Any]:
        """Read the rows, ``ROWS_OF_A_TASK`` at a time."""
        import pyarrow as pa

        for fragment, begin, count in self.parts:
            position = 0
            for batch in fragment.to_batches(schema=self.schema, batch_size=ROWS_OF_A_TASK):
                wanted = batch.slice(max(0, begin - position), max(0, begin + count - max(begin, position)))
                position += batch.num_rows
                if wanted.num_rows:
                    yield pa.Table.from_batches([wanted])
                if position >= begin + count:
                    break


class PieceExtractor:
    """A worker: reads pieces of the input and writes the files of the output."""

    def __init__(self, extraction: TableExtraction, output: str) -> None:
        self._extract = TableExtractor(extraction)
        self._problem_column = extraction.problem_column
        self._output = output

    def write(self, piece: Piece) -> Counts:
        """Write the file of a piece; it has its name only when it is whole."""
        import pyarrow.parquet as pq

        filesystem, folder = _resolved(self._output)
        temporary = f"{folder}/.{piece.name}"
        rows = bad = 0
        writer = None
        with filesystem.open_output_stream(temporary) as file:
            for table in piece.tables():
                extracted = self._extract(table)
                writer = writer or pq.ParquetWriter(file, extracted.schema)
                writer.write_table(extracted)
                rows += extracted.num_rows
                bad += extracted.num_rows - extracted.column(self._problem_column).null_count
            if writer is not None:
                writer.close()
        filesystem.move(temporary, f"{folder}/{piece.name}")
        return Counts(rows, bad)


def pieces_of(dataset: Any, rows_of_a_file: int) -> list[Piece]:
    """Cut a ``pyarrow.dataset`` into pieces of at most so many rows, in order; none crosses the end of a file."""
    pieces: list[Piece] = []
    for fragment in dataset.get_fragments():
        parts: list[tuple[Any, int, int]] = []
        room = rows_of_a_file
        groups = [group for group in fragment.split_by_row_group() if group.row_groups[0].num_rows]
        for number, group in enumerate(groups):
            begin, total = 0, group.row_groups[0].num_rows
            while begin < total:
                count = min(room, total - begin)
                parts.append((group, begin, count))
                begin, room = begin + count, room - count
                if room == 0 or (begin == total and number + 1 == len(groups)):
                    pieces.append(Piece(f"part-{len(pieces):08d}.parquet", tuple(parts), dataset.schema))
                    parts, room = [], rows_of_a_file
    return pieces


def extract_parquet(
    inputs: str | Sequence[str], output: str, extraction: TableExtraction, *, workers: int = 2
) -> Counts:
    """Extract from Parquet files or directories into a directory of Parquet files, in the order of the input.

    The rows of the output's files, taken in the order of their names, are those of the input in its order (a
    directory's files in the order of their paths), with the columns of ``extraction`` added. Columns of Hive partitions
    (``year=2026/``) are kept. Paths are local or URIs that ``pyarrow.fs`` knows: ``s3://…``, ``gs://…``, ``hdfs://…``.

    Parameters
    ----------
    inputs
        Files or directories; all have the columns of the first.
    output
        A directory; what is in it is replaced.
    extraction
        How to extract.
    workers
        As in :func:`extract_dataset`.

    Raises
    ------
    WrongUse
        As :func:`extract_dataset`, and when the output is, holds or lies in an input.
    """
    ray = _ray()
    paths = [inputs] if isinstance(inputs, str) else list(inputs)
    dataset = _dataset(paths)
    _check_columns(dataset.schema.names, extraction)
    pieces = pieces_of(dataset, ROWS_OF_A_FILE)
    filesystem, folder = _resolved(output)
    for path in paths:
        other, place = _resolved(path)
        if other == filesystem and (f"{folder}/".startswith(f"{place}/") or f"{place}/".startswith(f"{folder}/")):
            raise WrongUse(f"the output {output!r} would replace the input {path!r}; give another directory")
    filesystem.create_dir(folder, recursive=True)
    filesystem.delete_dir_contents(folder)
    # One that dies is started anew, and writes its piece again.
    worker = ray.remote(num_cpus=extraction.cores_of_a_worker(), max_restarts=-1, max_task_retries=-1)(PieceExtractor)
    pool = ray.util.ActorPool([worker.remote(extraction, output) for _ in range(min(workers, max(1, len(pieces))))])
    rows = bad = 0
    finished = pool.map_unordered(lambda actor, piece: actor.write.remote(piece), pieces)
    for done, counts in enumerate(finished, start=1):
        rows, bad = rows + counts.rows, bad + counts.bad
        LOG.info("%d of %d files written, %d rows, %d of them bad", done, len(pieces), rows, bad)
    return Counts(rows, bad)


def _check_columns(columns: Sequence[str], extraction: TableExtraction) -> None:
    if extraction.text_column not in columns:
        raise WrongUse(f"no column {extraction.text_column!r}; the columns are {list(columns)}")
    for added in (extraction.entities_column, extraction.problem_column):
        if added in columns:
            raise WrongUse(f"there is a column {added!r} already; give another name")


def _resolved(path: str) -> tuple[Any, str]:
    """Return the ``pyarrow.fs`` filesystem of a path or URI, and its path in it."""
    from pathlib import Path

    from pyarrow import fs

    place = path if "://" in path else str(Path(path).resolve())
    filesystem, inner = fs.FileSystem.from_uri(place)
    return filesystem, inner.rstrip("/")


def _dataset(paths: Sequence[str]) -> Any:
    """Open files and directories as one ``pyarrow.dataset``, its schema that of the first."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    parts = []
    for path in paths:
        filesystem, place = _resolved(path)
        try:
            parts.append(ds.dataset(place, filesystem=filesystem, format="parquet", partitioning="hive"))
        except pa.ArrowInvalid as error:
            raise WrongUse(f"{path!r} cannot be read: {error}") from error
    if not parts:
        raise WrongUse("no input")
    return parts[0] if len(parts) == 1 else ds.dataset(parts)


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise missing_extra("Ray", "ray", "extraction on a cluster", error) from error
    return ray
