"""Choose the output of a run by its format, its name, and its target."""

from __future__ import annotations

import sys
from pathlib import Path

from distillex_client.batch.collisions import check_regular
from distillex_client.batch.csv_cells import OutputEncoding
from distillex_client.batch.encoders import Csv, Encoder, HtmlPage, JsonLines, TerminalTable
from distillex_client.batch.options import BatchOptions
from distillex_client.batch.writers import FileOutput, HtmlDirectory, Output, OutputFormat, StreamOutput
from distillex_client.errors import WrongUse

HTML_SUFFIXES = (".html", ".htm")


def make_output(options: BatchOptions) -> Output:
    """Return the output that the options ask for; nothing is opened yet.

    Raises
    ------
    WrongUse
        When the format does not fit the place.
    """
    path, form = options.output, options.output_format
    if form is not OutputFormat.CSV and options.output_encoding is not OutputEncoding.UTF_8:
        raise WrongUse(f"--output-encoding is for CSV; {form.value} is UTF-8")
    if path is None:
        if form is OutputFormat.PARQUET:
            raise WrongUse("Parquet cannot be written to standard output: give --output FILE.parquet")
        if sys.stdout is None:
            raise WrongUse("standard output is closed; --output FILE writes to a file")
        return StreamOutput(sys.stdout.buffer, _make_encoder(options))
    if path.name in ("", ".."):
        raise WrongUse(f"{path}: give the output a name of its own, as other files are written beside it")
    if form is OutputFormat.TABLE:
        raise WrongUse("a table is for the terminal; with --output choose jsonl, csv, parquet or html")
    if form is OutputFormat.HTML and path.suffix.lower() not in HTML_SUFFIXES:
        return HtmlDirectory(path)
    check_regular(path)
    if form is OutputFormat.PARQUET:
        from distillex_client.batch.parquet import ParquetOutput

        return ParquetOutput(path, options.entities_field)
    return FileOutput(path, _make_encoder(options))


def _make_encoder(options: BatchOptions) -> Encoder:
    if options.output_format is OutputFormat.CSV:
        return Csv(options.entities_field, options.output_encoding, options.csv_formulas)
    if options.output_format is OutputFormat.HTML:
        return HtmlPage()
    if options.output_format is OutputFormat.TABLE:
        return TerminalTable()
    return JsonLines(options.entities_field)


def side_file(options: BatchOptions) -> Path | None:
    """Return the file of the bad records; None where they are named on standard error alone.

    Raises
    ------
    WrongUse
        When no file can be written there.
    """
    path = options.bad_records
    if path is None and options.output is not None:
        path = options.output.with_name(options.output.name + ".bad.jsonl")
    if path is not None:
        check_regular(path)
    return path
