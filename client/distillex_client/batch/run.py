"""One batch run, from its inputs to its output."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillex_client.batch.bad_records import BadRecords
from distillex_client.batch.checkpoint import Checkpoint
from distillex_client.batch.connection import Connection
from distillex_client.batch.durable import replace_durably
from distillex_client.batch.encoders import Csv, Encoder, HtmlPage, JsonLines, TerminalTable
from distillex_client.batch.errors import BatchStopped, WrongUse
from distillex_client.batch.patience import PatientCaller
from distillex_client.batch.pipeline import Finished, extract_chunks
from distillex_client.batch.progress import Progress, Silent
from distillex_client.batch.readers import ReadingOptions, read_all
from distillex_client.batch.records import BadRecord, Extracted, Record, cut_chunks
from distillex_client.batch.sources import InputFormat, Source, find_sources
from distillex_client.batch.writers import FileOutput, HtmlDirectory, Output, OutputFormat, StreamOutput
from distillex_client.protocol import check_lexicon

LOG = logging.getLogger("distillex.batch")
CHECKPOINT_EVERY_S = 1.0
HTML_SUFFIXES = (".html", ".htm")


@dataclass(frozen=True)
class BatchOptions:
    """What to read, what to write, how to call."""

    inputs: Sequence[str]
    """Files, globs, ``-``."""
    output: Path | None = None
    """None: standard output."""
    output_format: OutputFormat = OutputFormat.JSONL
    input_format: InputFormat | None = None
    """None: told by each name."""
    by_line: bool = False
    text_field: str = "text"
    entities_field: str = "entities"
    bad_records: Path | None = None
    """Side file; None: ``OUTPUT.bad.jsonl``, or standard error alone where there is no output file."""
    lexicon: Mapping[str, str | None] = field(default_factory=dict)
    lexicon_name: str | None = None
    batch_size: int = 64
    concurrency: int = 4
    retry_for_s: float = 60.0
    resume: bool = False

    def __post_init__(self) -> None:
        check_lexicon(self.lexicon)

    def settings(self, sources: Sequence[Source]) -> dict[str, Any]:
        """Return what has to be the same when a run is resumed."""
        words = repr(sorted(self.lexicon.items())).encode("utf-8", "surrogatepass")
        return {
            "inputs": [source.fingerprint() for source in sources],
            "input formats": [source.format.value for source in sources],
            "format": self.output_format.value,
            "--per line": self.by_line,
            "--text-field": self.text_field,
            "--entities-field": self.entities_field,
            "--lexicon (checksum)": zlib.crc32(words),
            "--lexicon-name": self.lexicon_name,
            "--batch-size": self.batch_size,
        }


@dataclass(frozen=True)
class Summary:
    """What a run did, the part before a resume included."""

    records: int
    bad: int
    entities: int
    seconds: float
    """Of this run alone."""
    resumed_at: int = 0
    """Records that were done before."""
    bad_records: Path | None = None
    """The side file, where there is one."""
    already_complete: bool = False
    """There was nothing left to do."""


def extract_files(
    options: BatchOptions,
    connection: Connection,
    progress: Callable[[int, float], Progress] | None = None,
) -> Summary:
    """Extract from files into a file, in order.

    Parameters
    ----------
    options
        What to read, what to write, how to call.
    connection
        The server.
    progress
        Makes the display, given the records done before and the part of the input that they were.

    Raises
    ------
    WrongUse
        When options, files or lexicon cannot work.
    BatchStopped
        When the server stayed away, or the output cannot be written; what is written stays for ``resume``.
    """
    run = _Run(options, connection)
    try:
        return run.run(progress or (lambda _records, _position: Silent()))
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise WrongUse(f"{error.filename or options.output}: {error.strerror}") from error
        raise BatchStopped(f"cannot write {options.output}: {error.strerror}") from error
    finally:
        run.close()


class _Run:
    def __init__(self, options: BatchOptions, connection: Connection) -> None:
        self._options = options
        self._connection = connection
        self._sources = find_sources(options.inputs, options.input_format)
        self._settings = options.settings(self._sources)
        self._all_parquet = all(source.format is InputFormat.PARQUET for source in self._sources)
        self._output = _make_output(options)
        self._bad_records = BadRecords(_side_file(options))
        self._checkpoint_path = (
            None if options.output is None else options.output.with_name(options.output.name + ".checkpoint")
        )
        self._records = self._bad = self._entities = 0
        self._position = 0.0
        self._began = self._saved = time.monotonic()

    def run(self, progress: Callable[[int, float], Progress]) -> Summary:
        if self._options.resume and self._already_complete():
            return Summary(0, 0, 0, 0.0, already_complete=True)
        checkpoint = self._checkpoint()
        if checkpoint is not None:
            self._take_over(checkpoint)
        resumed_at = self._records
        state = checkpoint.output if checkpoint is not None else None
        if checkpoint is None or not checkpoint.complete:
            self._output.begin(state)
            self._bad_records.begin(checkpoint.bad_bytes if checkpoint is not None else 0)
            if checkpoint is None:
                # From here on an older output of this name is not taken for this run's.
                self._save(closing=True)
            self._extract(progress)
            state = self._save(closing=True, complete=True)
        self._name_files(state or {})
        side_file = self._bad_records.path if self._bad else None
        seconds = time.monotonic() - self._began
        return Summary(self._records, self._bad, self._entities, seconds, resumed_at, side_file)

    def close(self) -> None:
        self._output.close()
        self._bad_records.close()

    def _extract(self, progress: Callable[[int, float], Progress]) -> None:
        options = self._options
        reading = ReadingOptions(
            by_line=options.by_line,
            text_field=options.text_field,
            entities_field=options.entities_field,
            parquet_rows=self._all_parquet and options.output_format is OutputFormat.PARQUET,
        )
        items = itertools.islice(read_all(self._sources, reading), self._records, None)
        with (
            self._connection.extractor(batch_size=options.batch_size, concurrency=options.concurrency) as extractor,
            progress(self._records, self._position) as shown,
        ):
            caller = PatientCaller(
                extractor,
                retry_for_s=options.retry_for_s,
                lexicon=options.lexicon or None,
                lexicon_name=options.lexicon_name,
            )
            finished = extract_chunks(
                cut_chunks(items, self._records),
                caller,
                batch_size=options.batch_size,
                concurrency=options.concurrency,
            )
            with contextlib.closing(finished):
                for part in finished:
                    self._write(part)
                    shown.update(self._records, self._bad, self._position)

    def _write(self, finished: Finished) -> None:
        good = [result for result in finished.results if isinstance(result, Extracted)]
        unfit = self._output.write(good)
        bad = [result for result in finished.results if isinstance(result, BadRecord)]
        bad += unfit
        self._bad_records.write(bad)
        self._records = finished.chunk.end
        last = finished.chunk.items[-1]
        if isinstance(last, Record):
            self._position = last.position
        self._bad += len(bad)
        refused = {record.place for record in unfit}
        self._entities += sum(len(result.entities) for result in good if result.record.place not in refused)
        if time.monotonic() - self._saved >= CHECKPOINT_EVERY_S or self._options.output_format is OutputFormat.PARQUET:
            self._save()

    def _save(self, *, closing: bool = False, complete: bool = False) -> Mapping[str, Any] | None:
        output = self._output.state(at_end=closing)
        if output is None or self._checkpoint_path is None:
            return None
        # The side file first: a checkpoint never counts what is not on the disk.
        length = self._bad_records.make_durable()
        checkpoint = Checkpoint(
            settings=self._settings,
            records=self._records,
            bad=self._bad,
            entities=self._entities,
            position=self._position,
            output=output,
            bad_bytes=length,
            complete=complete,
        )
        checkpoint.save(self._checkpoint_path)
        self._saved = time.monotonic()
        return output

    def _checkpoint(self) -> Checkpoint | None:
        path = self._checkpoint_path
        if path is None or not path.exists():
            return None
        checkpoint = Checkpoint.load(path)
        if checkpoint.records == 0 and not checkpoint.complete:
            return None
        if not self._options.resume:
            raise WrongUse(
                f"an unfinished run of {self._options.output} is there: --resume continues it; "
                f"to begin anew delete {path}"
            )
        checkpoint.check_settings(self._settings, path)
        return checkpoint

    def _already_complete(self) -> bool:
        output, path = self._options.output, self._checkpoint_path
        if output is None or path is None or path.exists() or not output.exists():
            return False
        return not output.is_dir() or any(output.iterdir())

    def _take_over(self, checkpoint: Checkpoint) -> None:
        self._records, self._bad = checkpoint.records, checkpoint.bad
        self._entities, self._position = checkpoint.entities, checkpoint.position

    def _name_files(self, state: Mapping[str, Any]) -> None:
        """Give the files their names; every step can be done again after a kill."""
        whole = self._output.assemble(state)
        self._output.close()
        if whole is not None and self._options.output is not None:
            replace_durably(whole, self._options.output)
        self._bad_records.assemble()
        if self._checkpoint_path is not None:
            self._checkpoint_path.unlink(missing_ok=True)
        self._output.clean()


def _make_output(options: BatchOptions) -> Output:
    path, form = options.output, options.output_format
    if form is OutputFormat.PARQUET:
        if path is None:
            raise WrongUse("Parquet cannot be written to standard output: give --output FILE.parquet")
        from distillex_client.batch.parquet import ParquetOutput

        return ParquetOutput(path, options.entities_field)
    if path is None:
        return StreamOutput(sys.stdout.buffer, _make_encoder(options))
    if form is OutputFormat.TABLE:
        raise WrongUse("a table is for the terminal; with --output choose jsonl, csv, parquet or html")
    if form is OutputFormat.HTML and path.suffix.lower() not in HTML_SUFFIXES:
        return HtmlDirectory(path)
    if path.is_dir():
        raise WrongUse(f"{path} is a directory; {form.value} is written to a file")
    return FileOutput(path, _make_encoder(options))


def _make_encoder(options: BatchOptions) -> Encoder:
    if options.output_format is OutputFormat.CSV:
        return Csv(options.entities_field)
    if options.output_format is OutputFormat.HTML:
        return HtmlPage()
    if options.output_format is OutputFormat.TABLE:
        return TerminalTable()
    return JsonLines(options.entities_field)


def _side_file(options: BatchOptions) -> Path | None:
    if options.bad_records is not None or options.output is None:
        return options.bad_records
    return options.output.with_name(options.output.name + ".bad.jsonl")
