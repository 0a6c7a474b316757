"""All records of a run, in order, and what was read of each input, for a resumed run."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence

from distillex_client.batch.fields import ReadingOptions
from distillex_client.batch.fingerprint import Fingerprint, FingerprintedFile, changed
from distillex_client.batch.opening import damage_errors, open_source
from distillex_client.batch.readers import Items, read_records
from distillex_client.batch.records import BadRecord, Mark, Record
from distillex_client.batch.sources import STANDARD_INPUT, InputFormat, Source


class Inputs:
    """Sources that are read one after the other; what cannot be read is a bad record, the others go on.

    Parameters
    ----------
    sources
        What to read.
    options
        How.
    read_before
        What an earlier run had read of the first sources, the last of them perhaps in part; it has to be there still.
    """

    def __init__(
        self, sources: Sequence[Source], options: ReadingOptions, read_before: Sequence[Fingerprint | None] = ()
    ) -> None:
        self._sources = sources
        self._options = options
        self._read_before = read_before
        self._fingerprints: list[Fingerprint | None] = []
        self._file: FingerprintedFile | None = None
        self._total_bytes = sum(source.size_bytes for source in sources)
        if any(source.name == STANDARD_INPUT for source in sources):
            self._total_bytes = 0

    def records(self, start: int = 0) -> Items:
        """Yield the records after the first ``start``, which are read and passed over.

        Raises
        ------
        WrongUse
            When what was read before is not the same any more.
        """
        items = self._items()
        passed_over = sum(1 for _ in itertools.islice(items, start))
        if self._file is not None:
            self._file.verify()
        if passed_over < start or len(self._fingerprints) + 1 < len(self._read_before):
            raise changed(self._sources[len(self._read_before) - 1].name)
        yield from items

    def read_up_to(self, mark: Mark) -> list[Fingerprint | None]:
        """Return what was read of each source when a record came out."""
        return [*self._fingerprints[: mark.source], mark.fingerprint]

    def _items(self) -> Items:
        before = 0
        for number, source in enumerate(self._sources):
            expected = self._read_before[number] if number < len(self._read_before) else None
            self._file = None
            for item, consumed in self._items_of(source, expected):
                position = min(1.0, (before + consumed) / self._total_bytes) if self._total_bytes else 0.0
                item.mark = Mark(position, number, self._fingerprint())
                if number < len(self._read_before) and (expected is None) is not (item.mark.fingerprint is None):
                    # It could be opened, and now it cannot, or the other way round.
                    raise changed(source.name)
                yield item
            self._fingerprints.append(self._fingerprint())
            before += source.size_bytes

    def _fingerprint(self) -> Fingerprint | None:
        return None if self._file is None else self._file.fingerprint()

    def _items_of(self, source: Source, expected: Fingerprint | None) -> Iterator[tuple[Record | BadRecord, int]]:
        place = source.name
        try:
            if source.format is InputFormat.PARQUET:
                yield from self._rows_of_parquet(source, expected)
                return
            with open_source(source, self._options.encoding, expected) as opened:
                self._file = opened.file
                try:
                    for item in read_records(opened, source.name, source.format, self._options):
                        place = item.place
                        yield item, opened.file.tell()
                except damage_errors() as error:
                    yield _damaged(source, place, error), opened.file.tell()
                opened.file.verify()
        except damage_errors() as error:
            yield _damaged(source, place, error), 0

    def _rows_of_parquet(
        self, source: Source, expected: Fingerprint | None
    ) -> Iterator[tuple[Record | BadRecord, int]]:
        from distillex_client.batch.parquet import read_parquet

        # It is not read in order: the whole file is looked at before.
        with io.FileIO(source.name) as file:
            self._file = FingerprintedFile(file, source.name, expected)
            self._file.read_to_the_end()
        for item, fraction in read_parquet(source, self._options):
            yield item, int(fraction * source.size_bytes)


def _damaged(source: Source, place: str, error: Exception) -> BadRecord:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    where = "" if place == source.name else f" after {place}"
    return BadRecord(source.name, f"cannot be read{where}: {reason}")
