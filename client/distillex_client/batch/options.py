"""The options of a batch run."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillex_client.batch.csv_cells import CsvFormulas, OutputEncoding
from distillex_client.batch.opening import UTF_8
from distillex_client.batch.sources import InputFormat, Source
from distillex_client.batch.writers import OutputFormat
from distillex_client.protocol import Lexicon, Trust, check_lexicon, check_trust
from distillex_client.selection import checked_score, checked_types


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
    encoding: str = UTF_8
    """Of all inputs but Parquet."""
    by_line: bool = False
    text_field: str = "text"
    entities_field: str = "entities"
    bad_records: Path | None = None
    """Side file; None: ``OUTPUT.bad.jsonl``, or standard error alone where there is no output file."""
    output_encoding: OutputEncoding = OutputEncoding.UTF_8
    """Of CSV; other formats are UTF-8."""
    csv_formulas: CsvFormulas = CsvFormulas.NEUTRALIZE
    min_score: float = 0.0
    "Leave out entities with a lower score."
    types: Iterable[str] | None = None
    """Leave out entities of other types."""
    lexicon: Lexicon = field(default_factory=dict)
    also_read: Sequence[Path] = ()
    """Files that the run has read besides its inputs, such as that of the lexicon: they are not written either."""
    lexicon_name: str | None = None
    trust: Trust | None = None
    """How far the words of both are obeyed that have no trust of their own."""
    batch_size: int = 64
    concurrency: int = 4
    retry_for_s: float = 60.0
    resume: bool = False

    def __post_init__(self) -> None:
        check_lexicon(self.lexicon)
        check_trust(self.trust)
        object.__setattr__(self, "min_score", checked_score(self.min_score))
        object.__setattr__(self, "types", checked_types(self.types))

    def settings(self, sources: Sequence[Source]) -> dict[str, Any]:
        """Return what has to be the same when a run is resumed."""
        words = repr(sorted(self.lexicon.items())).encode("utf-8", "surrogatepass")
        return {
            "input": [source.name for source in sources],
            "format of input": [source.format.value for source in sources],
            "--encoding": self.encoding,
            "--format": self.output_format.value,
            "--output-encoding": self.output_encoding.value,
            "--csv-formulas": self.csv_formulas.value,
            "--min-score": self.min_score,
            "--types": None if self.types is None else sorted(self.types),
            "--per line": self.by_line,
            "--bad-records": None if self.bad_records is None else str(self.bad_records),
            "--text-field": self.text_field,
            "--entities-field": self.entities_field,
            "--lexicon (checksum)": zlib.crc32(words),
            "--lexicon-name": self.lexicon_name,
            "--trust": self.trust,
            "--batch-size": self.batch_size,
        }
