"""Commands ``distillex data convert | check | stats``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from distillex_training.data.check import check_files
from distillex_training.data.convert import Format, input_files, read_any, split, write_records
from distillex_training.data.findings import Kind
from distillex_training.data.formats.columns import Scheme
from distillex_training.data.records import UTF_8, DataError, Problem, Record, read_records
from distillex_training.data.stats import FileStats, file_stats, surfaces_of

EXIT_FINDINGS = 1
EXIT_UNREADABLE = 2

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Convert, check and count labelled files.")

Train = Annotated[Path, typer.Argument(help="Labelled JSON Lines: the training file.")]
Dev = Annotated[Path | None, typer.Argument(help="The development file; it is compared with the training file.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the result here too.")]


@app.command()
def convert(
    inputs: Annotated[list[Path], typer.Argument(help="Files, or folders of files.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="A .jsonl file for all records; or a folder: NAME.jsonl for each file, or with --dev train.jsonl and "
            "dev.jsonl.",
        ),
    ],
    format_: Annotated[
        Format, typer.Option("--format", help="By default each file's own content tells.")
    ] = Format.AUTO,
    scheme: Annotated[
        Scheme, typer.Option(help="Of columns; by default the tags tell. bioes reads BMES and BILOU as well.")
    ] = Scheme.AUTO,
    joiner: Annotated[str, typer.Option(help="Of columns: what stands between two tokens in the text.")] = "",
    encoding: Annotated[str, typer.Option(help="Of the files, such as gb18030; what is written is UTF-8.")] = UTF_8,
    dev: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of sentences for dev.jsonl; 0: no split.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 1,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1, and write nothing, if a record is bad.")
    ] = False,
) -> None:
    """Convert CoNLL columns (BIO, BIO2, BIOES, BMES), CLUENER JSON, doccano or Label Studio exports to JSON Lines.

    Each span is checked against its text. A record with a problem is left out whole, named with file, line and reason,
    and counted.
    """
    try:
        readings = [read_any(file, format_, scheme, joiner, encoding) for file in input_files(inputs)]
    except DataError as error:
        _fail("convert", str(error))
    for reading in readings:
        for line in (*map(str, reading.problems), *reading.notes):
            typer.echo(line, err=True)
    taken, refused = sum(len(r.records) for r in readings), sum(r.refused for r in readings)
    if strict and any(reading.problems for reading in readings):
        _fail("convert", f"{refused} records are bad; nothing was written (--strict)", EXIT_FINDINGS)
    if not taken:
        _fail("convert", f"no record could be used; {refused} are bad")
    records = [record for reading in readings for record in reading.records]
    written: list[tuple[Path, list[Record]]]
    if dev:
        if output.suffix == ".jsonl":
            _fail("convert", f"--dev writes train.jsonl and dev.jsonl: give a folder, not {output}")
        train_part, dev_part = split(records, dev, seed)
        if not train_part or not dev_part:
            _fail("convert", f"{taken} records are too few for --dev {dev}: one side would be empty")
        written = [(output / "train.jsonl", train_part), (output / "dev.jsonl", dev_part)]
    elif output.suffix == ".jsonl":
        written = [(output, records)]
    else:
        written = [(output / f"{reading.path.stem}.jsonl", reading.records) for reading in readings]
        repeated = [path for path, times in Counter(path for path, _ in written).items() if times > 1]
        if repeated:
            _fail("convert", f"several files would be written to {repeated[0]}; give a .jsonl file or --dev")
    read = {reading.path.resolve() for reading in readings}
    for path, _ in written:
        if path.resolve() in read:
            _fail("convert", f"{path} is one of the files that were read, and would be lost: give another output")
    for path, part in written:
        write_records(path, part)
        typer.echo(f"{path}: {len(part):,} sentences, {sum(len(r.spans) for r in part):,} entities")
    typer.echo(f"{taken:,} records taken, {refused:,} left out" + (" (named above)" if refused else ""))


@app.command()
def check(
    train: Train,
    dev: Dev = None,
    max_length: Annotated[int, typer.Option(help="Longest sentence in characters.")] = 510,
    declaration: Annotated[
        Path | None,
        typer.Option(
            help="YAML file that says what the files' types mean among the model's (training/corpora/*.yaml): it is "
            "checked against the files."
        ),
    ] = None,
    types: Annotated[
        str | None, typer.Option(help="The model's entity types, separated by commas; others are errors.")
    ] = None,
    show: Annotated[int, typer.Option(help="Findings shown of each kind; 0 shows all.")] = 10,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Look for what spoils training or its figures: bad spans, label typos, contradictions, leakage between the files.

    Exit codes: 0 no error (warnings there may be), 1 errors, 2 a file or the declaration cannot be read.
    """
    entity_types = tuple(name.strip() for name in (types or "").split(",") if name.strip())
    try:
        findings = check_files(train, dev, max_length=max_length, declaration=declaration, entity_types=entity_types)
    except DataError as error:
        _fail("check", str(error))
    for kind in Kind:
        found = [finding for finding in findings if finding.kind is kind]
        if not found:
            continue
        typer.echo(f"{'ERROR' if kind.is_error else 'warning'} {kind.title}: {len(found):,} — {kind.meaning}")
        for finding in found[: show or None]:
            typer.echo(f"  {finding}")
        if show and len(found) > show:
            typer.echo(f"  … and {len(found) - show:,} more (--show 0)")
    errors = sum(finding.kind.is_error for finding in findings)
    typer.echo(f"{errors:,} errors, {len(findings) - errors:,} warnings")
    if json_file is not None:
        listed = [
            {"kind": f.kind.title, "error": f.kind.is_error, "where": f.where, "message": f.message} for f in findings
        ]
        json_file.write_text(json.dumps(listed, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if errors or (strict and findings):
        raise typer.Exit(EXIT_FINDINGS)


@app.command()
def stats(train: Train, dev: Dev = None, json_file: JsonFile = None) -> None:
    """Count sentences, lengths, entities per type, and the share of the development file's entities that are unseen."""
    try:
        files = [read_records(path) for path in (train, dev) if path is not None]
    except DataError as error:
        _fail("stats", str(error))
    for file in files:
        if not file.records:
            _fail("stats", f"{file.path}: no record could be counted{_first_of(file.problems)}", EXIT_FINDINGS)
    known = surfaces_of(files[0].records)
    counted = [file_stats(str(f.path), f.records, None if f is files[0] else known) for f in files]
    for file, figures in zip(files, counted, strict=True):
        _print_stats(figures)
        if file.problems:
            typer.echo(
                f"{len(file.problems)} problems, their records not counted: 'distillex data check' names them", err=True
            )
    if json_file is not None:
        text = json.dumps([figures.to_json() for figures in counted], ensure_ascii=False, indent=1)
        json_file.write_text(text + "\n", encoding="utf-8")


@app.command()
def close(
    data: Annotated[Path, typer.Argument(help="Labelled JSON Lines.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON Lines in terms of the model's types.")],
    declaration: Annotated[Path | None, typer.Option(help="What the file's types mean (YAML).")] = None,
    teacher: Annotated[
        list[Path] | None, typer.Option(help="Model directory of a teacher; repeatable: several decide together.")
    ] = None,
    times: Annotated[bool, typer.Option("--times", help="Label the type `time`, where it is open, by rules.")] = False,
    entity: Annotated[float, typer.Option(min=0, max=1, help="Posterior from which a span is an entity.")] = 0.9,
    nothing: Annotated[
        float, typer.Option(min=0, max=1, help="Probability of being in an entity up to which a character is in none.")
    ] = 0.1,
    open_weight: Annotated[
        float, typer.Option(min=0, help="Weight of a sentence of which something stays open.")
    ] = 0.5,
    base: Annotated[Path, typer.Option(help="Compiled base lexicon.")] = Path("lexicons/base/1.lex"),
) -> None:
    """Close what a corpus leaves open: rules and teachers label it where they are certain, the rest stays open."""
    from distillex_matcher import Lexicon, LexiconError

    from distillex_training.config import ConfigError
    from distillex_training.data.closing import Certainty, close_records, close_times
    from distillex_training.data.declaration import read_declaration
    from distillex_training.data.labelled import LabelledFile, disjoint_records
    from distillex_training.ensemble import Ensemble
    from distillex_training.models.directory import ModelDirectoryError

    try:
        ensemble = Ensemble(teacher, Lexicon.load(base)) if teacher else None
        types = ensemble.entity_types if ensemble is not None else ()
        declared = None if declaration is None else read_declaration(declaration, types)
        file = LabelledFile(data, declared).records(types)
        if file.problems:
            raise DataError.of(file.problems)
        records, notes = disjoint_records(data, file.records)
        if times:
            records, found = close_times(records)
            notes.append(f"{found:,} times by rules")
        if ensemble is not None:
            records, closed = close_records(records, ensemble, Certainty(entity, nothing, open_weight))
            notes.append(str(closed))
    except (ConfigError, DataError, LexiconError, ModelDirectoryError) as error:
        _fail("close", str(error))
    write_records(output, records)
    for note in notes:
        typer.echo(note)
    typer.echo(f"{output}: {len(records):,} sentences, {sum(len(r.spans) for r in records):,} entities")


def _print_stats(figures: FileStats) -> None:
    typer.echo(
        f"{figures.name}: {figures.sentences:,} sentences ({figures.without_entities:,} without entities), "
        f"{figures.characters:,} characters, {figures.entities:,} entities"
    )
    for what, values in (("sentence length", figures.lengths), ("entity length", figures.entity_lengths)):
        typer.echo(f"  {what}: median {values[0]}, 90 % {values[1]}, 99 % {values[2]}, longest {values[3]}")
    table = Table("type", "entities", "surfaces")
    with_unseen = figures.unseen is not None
    if with_unseen:
        table.add_column("unseen in training")
    for kind, each in figures.types.items():
        row = [kind, f"{each.entities:,}", f"{each.surfaces:,}"]
        if each.unseen is not None:
            row.append(f"{each.unseen:,} ({each.unseen / each.entities:.0%})")
        table.add_row(*row)
    if with_unseen and figures.entities:
        share = (figures.unseen or 0) / figures.entities
        table.add_row("all", f"{figures.entities:,}", "", f"{figures.unseen:,} ({share:.0%})")
    Console().print(table)


def _first_of(problems: Sequence[Problem]) -> str:
    if not problems:
        return ""
    more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
    return f": line {problems[0].line}: {problems[0].reason}{more}"


def _fail(command: str, message: str, code: int = EXIT_UNREADABLE) -> NoReturn:
    typer.echo(f"distillex data {command}: {message}", err=True)
    raise typer.Exit(code)
