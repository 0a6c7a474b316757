"""Extraction over Parquet on a cluster: Ray Data reads, spreads and writes; each worker calls the server.

Ray, and not Spark: it is installed by pip alone, its workers are Python processes that keep one connection each, and it
restarts a worker that died and gives its batch to another. Nothing here schedules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distillex_client.batch.connection import Connection
from distillex_client.batch.errors import WrongUse, missing_extra
from distillex_client.batch.patience import PatientCaller
from distillex_client.batch.pipeline import extract_chunks
from distillex_client.batch.readers import ReadingOptions, record_of
from distillex_client.batch.records import BadRecord, Extracted, Record, cut_chunks
from distillex_client.entity import Entity

ROWS_OF_A_TASK = 2048
ROWS_OF_A_FILE = 200_000


@dataclass(frozen=True)
class TableExtraction:
    """How to extract from a table."""

    connection: Connection
    text_column: str = "text"
    entities_column: str = "entities"
    problem_column: str = "problem"
    """Why a row has no entities; null where it has."""
    lexicon: Mapping[str, str | None] = field(default_factory=dict)
    lexicon_name: str | None = None
    batch_size: int = 64
    concurrency: int = 2
    """Requests in flight of one worker."""
    retry_for_s: float = 60.0


@dataclass(frozen=True)
class Counts:
    """What a run did."""

    rows: int
    bad: int


class TableExtractor:
    """A worker: keeps its connection, adds two columns to each table that it is given."""

    def __init__(self, extraction: TableExtraction) -> None:
        self._extraction = extraction
        self._extractor = extraction.connection.extractor(
            batch_size=extraction.batch_size, concurrency=extraction.concurrency
        )

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
        caller = PatientCaller(
            self._extractor,
            retry_for_s=extraction.retry_for_s,
            lexicon=extraction.lexicon or None,
            lexicon_name=extraction.lexicon_name,
        )
        chunks = extract_chunks(
            cut_chunks(items, 0), caller, batch_size=extraction.batch_size, concurrency=extraction.concurrency
        )
        return [result for finished in chunks for result in finished.results]


def extract_dataset(dataset: Any, extraction: TableExtraction, *, workers: int = 2) -> Any:
    """Return a Ray dataset with the entities of each row; nothing runs before it is consumed.

    Parameters
    ----------
    dataset
        A ``ray.data.Dataset`` with a column of texts.
    extraction
        How to extract.
    workers
        Processes of the cluster that call the server. One that dies is started anew, and its rows are extracted again.

    Raises
    ------
    WrongUse
        When a column is missing, or one of those to be added is there.
    """
    columns = dataset.columns() or []
    if extraction.text_column not in columns:
        raise WrongUse(f"no column {extraction.text_column!r}; the columns are {columns}")
    for added in (extraction.entities_column, extraction.problem_column):
        if added in columns:
            raise WrongUse(f"there is a column {added!r} already; give another name")
    return dataset.map_batches(
        TableExtractor,
        fn_constructor_args=(extraction,),
        batch_size=ROWS_OF_A_TASK,
        batch_format="pyarrow",
        compute=_ray().data.ActorPoolStrategy(size=workers),
        # A worker waits for the server most of the time.
        num_cpus=0.5,
    )


def extract_parquet(
    inputs: str | Sequence[str], output: str, extraction: TableExtraction, *, workers: int = 2
) -> Counts:
    """Extract from Parquet files or directories into a directory of Parquet files, in the order of the input.

    The rows of the output's files, taken in the order of their names, are those of the input in its order, with the
    columns of ``extraction`` added. Paths are whatever Ray reads: local, ``s3://…``, ``gs://…``.

    Parameters
    ----------
    inputs
        Files or directories.
    output
        A directory; what is in it is replaced.
    extraction
        How to extract.
    workers
        As in :func:`extract_dataset`.

    Raises
    ------
    WrongUse
        As :func:`extract_dataset`.
    """
    ray = _ray()
    options = ray.data.DataContext.get_current().execution_options
    order_before, options.preserve_order = options.preserve_order, True
    try:
        # Short blocks: all workers get some, and one that dies has little to do again.
        rows = ray.data.read_parquet(inputs).repartition(target_num_rows_per_block=ROWS_OF_A_TASK)
        extracted = extract_dataset(rows, extraction, workers=workers)
        extracted.write_parquet(output, mode="overwrite", min_rows_per_file=ROWS_OF_A_FILE)
    finally:
        options.preserve_order = order_before
    rows_written = bad = 0
    problems = ray.data.read_parquet(output, columns=[extraction.problem_column])
    for table in problems.iter_batches(batch_format="pyarrow", batch_size=ROWS_OF_A_FILE):
        rows_written += table.num_rows
        bad += table.num_rows - table.column(0).null_count
    return Counts(rows_written, bad)


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise missing_extra("Ray", "ray", "extraction on a cluster", error) from error
    return ray
