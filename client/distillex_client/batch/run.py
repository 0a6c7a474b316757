"""One batch run, from its inputs to its output."""

from __future__ import annotations

import contextlib
import errno
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillex_client.batch.bad_records import BadRecords
from distillex_client.batch.checkpoint import Checkpoint
from distillex_client.batch.collisions import check_collisions
from distillex_client.batch.durable import replace_durably, temporary_name
from distillex_client.batch.extraction import ExtractionSource
from distillex_client.batch.fields import ReadingOptions
from distillex_client.batch.fingerprint import Fingerprint
from distillex_client.batch.inputs import Inputs
from distillex_client.batch.locks import lock_name, locked
from distillex_client.batch.opening import check_encoding
from distillex_client.batch.options import BatchOptions
from distillex_client.batch.outputs import make_output, side_file
from distillex_client.batch.pipeline import Finished, extract_chunks
from distillex_client.batch.progress import Progress, Silent
from distillex_client.batch.records import BadRecord, Extracted, Mark, cut_chunks
from distillex_client.batch.sources import InputFormat, find_sources
from distillex_client.batch.writers import OutputFormat
from distillex_client.errors import BatchStopped, WrongUse
from distillex_client.selection import Selection

LOG = logging.getLogger("distillex.batch")
CHECKPOINT_EVERY_S = 1.0
# What can be mended so that the run goes on, and how.
DISK_FAILURES = {
    errno.ENOSPC: "; make room on the disk",
    errno.EDQUOT: "; make room within your quota",
    errno.EFBIG: "; allow larger files (ulimit -f)",
    errno.EIO: "",
    errno.EROFS: "",
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
    extraction: ExtractionSource,
    progress: Callable[[int, float], Progress] | None = None,
) -> Summary:
    """Extract from files into a file, in order.

    Parameters
    ----------
    options
        What to read, what to write, how to call.
    extraction
        What extracts: a :class:`Connection` to a server, or models of this machine.
    progress
        Makes the display, given the records done before and the part of the input that they were.

    Raises
    ------
    WrongUse
        When options, files or lexicon cannot work.
    BatchStopped
        When nothing can be extracted, such as while the server stays away, or the output cannot be written; what is
        written stays for ``resume``.
    """
    run = None
    try:
        run = _Run(options, extraction)
        return run.run(progress or (lambda _records, _position: Silent()))
    except BrokenPipeError:
        raise
    except OSError as error:
        begun = run is not None and run.begun
        if not begun and error.errno not in DISK_FAILURES:
            raise WrongUse(f"{error.filename or options.output}: {error.strerror or error}") from error
        where = error.filename or options.output or "standard output"
        reached = f" after {run.records:,} records" if run is not None else ""
        kept = f"; {run.records_on_disk:,} of them are safe" if run is not None and options.output is not None else ""
        advice = DISK_FAILURES.get(error.errno or 0, "")
        raise BatchStopped(f"cannot write {where}{reached}: {error.strerror or error}{kept}{advice}") from error
    finally:
        if run is not None:
            run.close()


class _Run:
    def __init__(self, options: BatchOptions, extraction: ExtractionSource) -> None:
        self._options = options
        self._extraction = extraction
        try:
            self._selection = Selection(options.min_score, options.types)
        except (TypeError, ValueError) as error:
            raise WrongUse(str(error)) from error
        self._encoding = check_encoding(options.encoding)
        self._output = make_output(options)
        self._sources = find_sources(options.inputs, options.input_format)
        self._settings = options.settings(self._sources)
        self._settings |= extraction.settings(options.lexicon_name)
        self._all_parquet = all(source.format is InputFormat.PARQUET for source in self._sources)
        self._bad_records = BadRecords(side_file(options))
        self._checkpoint_path = (
            None if options.output is None else options.output.with_name(options.output.name + ".checkpoint")
        )
        self._check_collisions()
        self.records = self.records_on_disk = self._bad = self._entities = 0
        self._mark = Mark()
        self._inputs: Inputs | None = None
        self.begun = False
        """From here on a failure of the disk leaves something to resume."""
        self._began = self._saved = time.monotonic()

    def run(self, progress: Callable[[int, float], Progress]) -> Summary:
        if self._options.resume and self._already_complete():
            return Summary(0, 0, 0, 0.0, already_complete=True)
        with contextlib.ExitStack() as locks:
            for path in self._final_names():
                locks.enter_context(locked(path))
            return self._run(progress)

    def _run(self, progress: Callable[[int, float], Progress]) -> Summary:
        if self._options.resume and self._already_complete():
            # By a run that held the lock until now.
            return Summary(0, 0, 0, 0.0, already_complete=True)
        checkpoint = self._checkpoint()
        if checkpoint is not None:
            self._take_over(checkpoint)
        resumed_at = self.records
        state = checkpoint.output if checkpoint is not None else None
        if checkpoint is None or not checkpoint.complete:
            self._output.begin(state)
            self._bad_records.begin(checkpoint.bad_bytes if checkpoint is not None else 0)
            self.begun = True
            if checkpoint is None:
                # From here on an older output of this name is not taken for this run's.
                self._save(closing=True)
            self._extract(progress, checkpoint.inputs if checkpoint is not None else ())
            state = self._save(closing=True, complete=True)
        self._name_files(state or {})
        named = self._bad_records.path if self._bad else None
        seconds = time.monotonic() - self._began
        return Summary(self.records, self._bad, self._entities, seconds, resumed_at, named)

    def close(self) -> None:
        self._output.close()
        self._bad_records.close()

    def _extract(self, progress: Callable[[int, float], Progress], read_before: Sequence[Fingerprint | None]) -> None:
        options = self._options
        reading = ReadingOptions(
            by_line=options.by_line,
            text_field=options.text_field,
            entities_field=options.entities_field,
            encoding=self._encoding,
            parquet_rows=self._all_parquet and options.output_format is OutputFormat.PARQUET,
        )
        self._inputs = Inputs(self._sources, reading, read_before)
        with (
            self._extraction.open(options) as caller,
            progress(self.records, self._mark.position) as shown,
        ):
            finished = extract_chunks(
                cut_chunks(self._inputs.records(self.records), self.records),
                caller,
                batch_size=options.batch_size,
                concurrency=options.concurrency,
                selection=self._selection,
            )
            with contextlib.closing(finished):
                for part in finished:
                    self._write(part)
                    shown.update(self.records, self._bad, self._mark.position)

    def _write(self, finished: Finished) -> None:
        good = [result for result in finished.results if isinstance(result, Extracted)]
        unfit = self._output.write(good)
        bad = [result for result in finished.results if isinstance(result, BadRecord)]
        bad += unfit
        self._bad_records.write(bad)
        self.records, self._mark = finished.chunk.end, finished.chunk.mark
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
            records=self.records,
            bad=self._bad,
            entities=self._entities,
            position=self._mark.position,
            output=output,
            bad_bytes=length,
            inputs=self._inputs.read_up_to(self._mark) if self._inputs is not None else (),
            complete=complete,
        )
        checkpoint.save(self._checkpoint_path)
        self.records_on_disk = self.records
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
                f"to start again, delete {path}"
            )
        checkpoint.check_settings(self._settings, path)
        return checkpoint

    def _already_complete(self) -> bool:
        output, path = self._options.output, self._checkpoint_path
        if output is None or path is None or path.exists() or not output.exists():
            return False
        return not output.is_dir() or any(output.iterdir())

    def _final_names(self) -> list[Path]:
        names = (self._options.output, self._bad_records.path)
        return [path for path in names if path is not None]

    def _check_collisions(self) -> None:
        written = [*self._output.paths(), *self._bad_records.paths()]
        if self._checkpoint_path is not None:
            written += [self._checkpoint_path, temporary_name(self._checkpoint_path)]
        written += [lock_name(path) for path in self._final_names()]
        read = [*(source.name for source in self._sources), *map(str, self._options.also_read)]
        check_collisions(read, written)

    def _take_over(self, checkpoint: Checkpoint) -> None:
        self.records = self.records_on_disk = checkpoint.records
        self._bad, self._entities = checkpoint.bad, checkpoint.entities
        self._mark = Mark(checkpoint.position)

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
