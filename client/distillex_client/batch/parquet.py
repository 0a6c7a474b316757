"""Read and write Parquet: batches of rows, part files, one file in the end."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distillex_client.batch.durable import replace_durably
from distillex_client.batch.fields import ReadingOptions, is_unicode, record_of, twice_in
from distillex_client.batch.plain_json import to_json
from distillex_client.batch.records import BadRecord, Extracted, Record
from distillex_client.batch.sources import Source
from distillex_client.entity import Entity
from distillex_client.errors import missing_extra

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError as error:
    raise missing_extra("pyarrow", "parquet", "reading and writing Parquet", error) from error

ROWS_READ = 1024
# A part is closed at the end of the chunk that reaches one of these; parts become the file's row groups.
PART_ROWS = 8192
PART_CHARACTERS = 4_000_000

ENTITY = pa.struct(
    [("start", pa.int64()), ("end", pa.int64()), ("type", pa.string()), ("text", pa.string()), ("score", pa.float64())]
)
ENTITIES = pa.list_(ENTITY)


def read_parquet(source: Source, options: ReadingOptions) -> Iterator[tuple[Record | BadRecord, float]]:
    """Yield the rows of a file as records, each with the fraction of the file read."""
    done = 0
    try:
        with pq.ParquetFile(source.name) as file:
            problem = _schema_problem(source.name, file.schema_arrow, options)
            if problem is not None:
                yield problem, 1.0
                return
            total = max(1, file.metadata.num_rows)
            for batch in file.iter_batches(ROWS_READ, use_threads=False):
                for item in _rows(batch, source.name, done, options):
                    done += 1
                    yield item, done / total
    except (pa.ArrowException, OSError) as error:
        where = f" after row {done}" if done else ""
        yield BadRecord(source.name, f"cannot be read{where}: {str(error).splitlines()[0]}"), 1.0


def _schema_problem(name: str, schema: Any, options: ReadingOptions) -> BadRecord | None:
    columns = schema.names
    if options.text_field not in columns:
        return BadRecord(name, f"no column {options.text_field!r} (--text-field); its columns: {columns}")
    if twice := twice_in(columns):
        return BadRecord(name, f"two columns have the name {twice[0]!r}")
    if options.entities_field in columns:
        reason = f"has a column {options.entities_field!r} already (--entities-field gives another name)"
        return BadRecord(name, reason)
    kind = schema.field(options.text_field).type
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(plain) or pa.types.is_large_string(plain)):
        return BadRecord(name, f"column {options.text_field!r} is not of strings but of {kind}")
    return None


def _rows(batch: Any, name: str, before: int, options: ReadingOptions) -> Iterator[Record | BadRecord]:
    texts = texts_of(batch.column(options.text_field))
    # The order of the columns is kept. Rows that stay rows of Parquet keep their other columns as they are.
    kept: dict[str, list[Any]] = {options.text_field: texts}
    if not options.parquet_rows:
        others = plain_values(batch)
        kept = {
            column: texts if column == options.text_field else _values_of(others.column(column))
            for column in batch.schema.names
        }
    for row in range(len(texts)):
        place = f"{name}:{before + row + 1}"
        fields = {column: values[row] for column, values in kept.items()}
        broken = next((column for column, value in fields.items() if isinstance(value, UnicodeDecodeError)), None)
        if broken is not None:
            yield BadRecord(place, f"field {broken!r} is not UTF-8")
            continue
        record = record_of(place, fields, options)
        if isinstance(record, Record) and options.parquet_rows:
            record.row = (batch, row)
        yield record


def texts_of(column: Any) -> list[str | UnicodeDecodeError | None]:
    """Return a column of strings as Python values; one that is not UTF-8 as the error that it raises."""
    return _values_of(column.dictionary_decode() if pa.types.is_dictionary(column.type) else column)


def _values_of(column: Any) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = [_value_of(scalar) for scalar in column]
    return values


def _value_of(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return error


def plain_values(batch: Any) -> Any:
    """Return the batch with dates, times and decimals as strings and bytes as base64, which JSON and CSV can hold."""
    for number, field in enumerate(batch.schema):
        column = batch.column(number)
        if pa.types.is_temporal(field.type) or pa.types.is_decimal(field.type):
            column = pc.cast(column, pa.string())
        elif pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            column = pa.array([None if v is None else base64.b64encode(v).decode() for v in column.to_pylist()])
        else:
            continue
        batch = batch.set_column(number, field.name, column)
    return batch


def entities_column(found: Sequence[Sequence[Entity] | None]) -> Any:
    """Return entities as a column of lists of structs; None becomes null."""
    rows = [
        None
        if entities is None
        else [{"start": e.start, "end": e.end, "type": e.type, "text": e.text, "score": e.score} for e in entities]
        for entities in found
    ]
    return pa.array(rows, ENTITIES)


class ParquetOutput:
    """Write row groups as part files of a directory beside the output, and put them together in the end.

    A part file has its name only when it is whole, and where it ends depends on the input alone: a run that was
    killed goes on after its last whole part and ends with the same bytes.
    """

    def __init__(self, path: Path, entities_field: str) -> None:
        self.path = path
        self._directory = path.with_name(path.name + ".parts")
        self._whole = path.with_name(path.name + ".part")
        self._entities_field = entities_field
        self._schema: Any = None
        self._tables: list[Any] = []
        self._rows = 0
        self._characters = 0
        self._parts = 0

    def paths(self) -> list[Path]:
        """Return the file, its name while it is put together, and the directory of its parts."""
        return [self.path, self._whole, self._directory]

    def begin(self, state: Mapping[str, Any] | None) -> None:
        """Start anew, or after the parts that ``state`` knows of."""
        if state is None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory.mkdir(parents=True)
            return
        self._parts = int(state["parts"])
        if self._parts:
            self._schema = pq.read_schema(self._part(0))

    def write(self, results: Sequence[Extracted]) -> list[BadRecord]:
        """Add rows; returns those that do not fit the columns of the first."""
        bad: list[BadRecord] = []
        rows: list[Extracted] = []
        for result in results:
            problem = self._column_problem(result.record)
            if problem is None:
                rows.append(result)
            else:
                bad.append(problem)
        for table in self._tables_of(rows):
            self._tables.append(table)
        self._rows += len(rows)
        self._characters += sum(len(result.record.text) for result in rows)
        return bad

    def state(self, *, at_end: bool = False) -> dict[str, Any] | None:
        """Make what was written durable; None where the part is not full yet."""
        full = self._rows >= PART_ROWS or self._characters >= PART_CHARACTERS
        if not full and not at_end:
            return None
        if self._tables:
            part = self._part(self._parts)
            temporary = part.with_suffix(".tmp")
            table = pa.concat_tables(self._tables).combine_chunks()
            pq.write_table(table, temporary, row_group_size=max(1, table.num_rows))
            replace_durably(temporary, part)
            self._parts += 1
        self._tables, self._rows, self._characters = [], 0, 0
        return {"parts": self._parts}

    def assemble(self, state: Mapping[str, Any]) -> Path | None:
        """Put the parts together and return the temporary file that is to become the output."""
        parts = [self._part(number) for number in range(int(state["parts"]))]
        schema = pq.read_schema(parts[0]) if parts else pa.schema([(self._entities_field, ENTITIES)])
        with pq.ParquetWriter(self._whole, schema) as writer:
            for part in parts:
                table = pq.ParquetFile(part).read()
                writer.write_table(table, row_group_size=max(1, table.num_rows))
        return self._whole

    def clean(self) -> None:
        """Remove the parts, after the output has its name."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def close(self) -> None:
        """Nothing stays open between calls."""

    def _part(self, number: int) -> Path:
        return self._directory / f"part-{number:06d}.parquet"

    def _column_problem(self, record: Record) -> BadRecord | None:
        if record.row is None:
            for name, value in record.fields.items():
                if not (is_unicode(name) and is_unicode(_as_string(value) or "")):
                    return BadRecord(record.place, f"field {name!r} holds a lone surrogate, which is no character")
        if self._schema is None:
            self._schema = self._schema_of(record)
        if record.row is not None:
            if record.row[0].schema.names != self._schema.names[:-1] or any(
                field.type != self._schema.field(field.name).type for field in record.row[0].schema
            ):
                return BadRecord(record.place, "its file's columns differ from those of the first file")
            return None
        known = set(self._schema.names)
        unknown = next((name for name in record.fields if name not in known), None)
        if unknown is not None:
            return BadRecord(
                record.place, f"field {unknown!r} is not among those of the first record, which are the columns"
            )
        return None

    def _schema_of(self, record: Record) -> Any:
        entities = pa.field(self._entities_field, ENTITIES)
        if record.row is not None:
            return pa.schema([*record.row[0].schema, entities])
        return pa.schema([*((name, pa.string()) for name in record.fields), entities])

    def _tables_of(self, rows: Sequence[Extracted]) -> Iterator[Any]:
        begin = 0
        while begin < len(rows):
            origin = rows[begin].record.row
            end = begin + 1
            while end < len(rows) and _same_batch(origin, rows[end].record.row):
                end += 1
            yield self._table(rows[begin:end])
            begin = end

    def _table(self, rows: Sequence[Extracted]) -> Any:
        entities = entities_column([result.entities for result in rows])
        origin = rows[0].record.row
        if origin is None:
            names = self._schema.names[:-1]
            columns = [pa.array([_as_string(r.record.fields.get(name)) for r in rows], pa.string()) for name in names]
        else:
            taken = origin[0].take(pa.array([r.record.row[1] for r in rows if r.record.row is not None]))
            columns = list(taken.columns)
        return pa.Table.from_arrays([*columns, entities], schema=self._schema)


def _same_batch(first: tuple[Any, int] | None, second: tuple[Any, int] | None) -> bool:
    if first is None or second is None:
        return first is second
    return first[0] is second[0]


def _as_string(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else to_json(value)
