"""The command ``extract``, shared by server and in-process extraction: options, report, display.

``distillex-client extract`` and ``distillex extract`` are this command, each with options of its own: for the server,
for the model on this machine.
"""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from distillex_client.batch.csv_cells import CsvFormulas, OutputEncoding
from distillex_client.batch.extraction import ExtractionSource
from distillex_client.batch.lexicon_file import read_lexicon, read_trust
from distillex_client.batch.options import BatchOptions
from distillex_client.batch.progress import Bar, LogLines, Progress, Silent
from distillex_client.batch.run import Summary, extract_files
from distillex_client.batch.sources import InputFormat
from distillex_client.batch.writers import OutputFormat
from distillex_client.errors import WrongUse
from distillex_client.exit_codes import EXIT_BAD_RECORDS
from distillex_client.printable import say
from distillex_client.protocol import Trust


class TextUnit(str, enum.Enum):
    """What is a document of plain text."""

    FILE = "file"
    LINE = "line"


class ProgressKind(str, enum.Enum):
    """Ways of showing progress."""

    AUTO = "auto"
    BAR = "bar"
    LINES = "lines"
    NONE = "none"


@dataclass(frozen=True)
class BatchArguments:
    """The command line of a batch run, whatever extracts; an option group of :mod:`distillex_client.option_groups`."""

    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Text, JSON Lines, JSON arrays, CSV, TSV or Parquet, also in gzip or zstd; globs; - is standard input."
        ),
    ]
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write (for html also a directory); default: standard output."),
    ] = None
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", "-f", help="Output format; default: the ending of --output, else jsonl."),
    ] = None
    input_format: Annotated[
        InputFormat | None,
        typer.Option(help="Input format; default: each file's ending; txt for - and names without an ending."),
    ] = None
    encoding: Annotated[
        str,
        typer.Option(
            help="Encoding of the inputs, such as gb18030 (reads gbk and gb2312 too), big5, utf-16; "
            "Parquet has its own."
        ),
    ] = "utf-8"
    per: Annotated[TextUnit, typer.Option(help="In plain text, what one document is.")] = TextUnit.FILE
    text_field: Annotated[str, typer.Option(help="Field or column that holds the text.")] = "text"
    entities_field: Annotated[str, typer.Option(help="Field or column that gets the entities.")] = "entities"
    min_score: Annotated[float, typer.Option(help="Leave out entities with a lower score.", min=0, max=1)] = 0.0
    types: Annotated[
        list[str] | None, typer.Option(help="Keep only these types; separate them by commas, or repeat the option.")
    ] = None
    output_encoding: Annotated[
        OutputEncoding,
        typer.Option(help="Encoding of CSV output; Excel needs the byte order mark of utf-8-sig to read UTF-8."),
    ] = OutputEncoding.UTF_8
    csv_formulas: Annotated[
        CsvFormulas,
        typer.Option(help="Put a ' before CSV cells that a spreadsheet would run as formulas, or keep them."),
    ] = CsvFormulas.NEUTRALIZE
    resume: Annotated[bool, typer.Option("--resume", help="Continue an unfinished run of the same --output.")] = False
    bad_records: Annotated[
        Path | None,
        typer.Option(help="File for bad records; default: OUTPUT.bad.jsonl, or standard error without --output."),
    ] = None
    lexicon: Annotated[
        Path | None,
        typer.Option(
            help="Words for this run only: WORD<TAB>TYPE[<TAB>WEIGHT[<TAB>TRUST]] a line; type null hides a word."
        ),
    ] = None
    lexicon_name: Annotated[
        str | None, typer.Option(help="A lexicon installed where the model runs ('distillex lexicon push').")
    ] = None
    trust: Annotated[
        str | None,
        typer.Option(
            help="Trust in words of both lexicons that have none of their own: hint, prefer, insist, or a "
            "number from 0 to 1000; default: that of their lexicon, else prefer."
        ),
    ] = None
    batch_size: Annotated[int, typer.Option(help="Texts per call of the model.", min=1, max=64)] = 64
    progress: Annotated[ProgressKind, typer.Option(help="auto: a bar on a terminal, a line every 10 s elsewhere.")] = (
        ProgressKind.AUTO
    )

    def run(self, program: str, extraction: ExtractionSource, **options: Any) -> None:
        """Extract, report, and end with the exit code for bad records where there are any.

        Parameters
        ----------
        program
            Begins what is said on standard error.
        extraction
            What extracts.
        options
            Others of :class:`BatchOptions`, which this command alone has.
        """
        chosen = self._options(**options)
        summary = extract_files(chosen, extraction, lambda *standing: _display(self.progress, *standing))
        _report(program, summary, chosen)
        if summary.bad:
            raise typer.Exit(EXIT_BAD_RECORDS)

    def _options(self, **others: Any) -> BatchOptions:
        return BatchOptions(
            inputs=self.inputs,
            output=self.output,
            output_format=self.output_format or _format_of(self.output),
            input_format=self.input_format,
            encoding=self.encoding,
            by_line=self.per is TextUnit.LINE,
            text_field=self.text_field,
            entities_field=self.entities_field,
            min_score=self.min_score,
            types=[kind.strip() for each in self.types for kind in each.split(",")] if self.types else None,
            output_encoding=self.output_encoding,
            csv_formulas=self.csv_formulas,
            bad_records=self.bad_records,
            lexicon=read_lexicon(self.lexicon) if self.lexicon is not None else {},
            also_read=[self.lexicon] if self.lexicon is not None else [],
            lexicon_name=self.lexicon_name,
            trust=_trust_of(self.trust),
            batch_size=self.batch_size,
            resume=self.resume,
            **others,
        )


def _trust_of(text: str | None) -> Trust | None:
    try:
        return None if text is None else read_trust(text)
    except ValueError as error:
        raise WrongUse(f"--trust: {error}") from error


def _report(program: str, summary: Summary, options: BatchOptions) -> None:
    if summary.already_complete:
        say(f"{program}: {options.output} is there and no run of it is unfinished: nothing to do")
        return
    if options.types and not summary.entities:
        kinds = ", ".join(sorted(options.types))
        say(f"{program}: no entity of type {kinds} was found; the model may know none of that name")
    if options.output is None and not summary.bad:
        return
    parts = [f"{summary.records:,} records", f"{summary.entities:,} entities"]
    if summary.resumed_at:
        parts.append(f"{summary.resumed_at:,} done before")
    if summary.bad:
        where = f" ({summary.bad_records})" if summary.bad_records else ""
        parts.append(f"{summary.bad:,} bad{where}")
    say(f"{program}: {', '.join(parts)}, {summary.seconds:.1f} s")


def _display(kind: ProgressKind, records: int, position: float) -> Progress:
    if kind is ProgressKind.NONE:
        return Silent()
    if kind is ProgressKind.BAR or (kind is ProgressKind.AUTO and sys.stderr is not None and sys.stderr.isatty()):
        from rich.console import Console

        return Bar(Console(stderr=True), records, position)
    return LogLines(records, position)


def _format_of(output: Path | None) -> OutputFormat:
    if output is None or not output.suffix:
        return OutputFormat.JSONL
    names = {".ndjson": OutputFormat.JSONL, ".htm": OutputFormat.HTML}
    names |= {f".{form.value}": form for form in OutputFormat if form is not OutputFormat.TABLE}
    form = names.get(output.suffix.lower())
    if form is None:
        raise WrongUse(
            f"{output}: {output.suffix!r} is not a known format; give --format, or one of {', '.join(sorted(names))}"
        )
    return form
