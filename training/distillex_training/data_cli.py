"""Commands ``distillex data convert | export | select | check | stats | close``."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from distillex.command.options import fail
from distillex_client.tables import print_table
from distillex_matcher import Lexicon
from rich.table import Table

from distillex_training.data.check import check_files
from distillex_training.data.convert import input_files, read_any, sentences_of, split
from distillex_training.data.exporting import Exported, export_records
from distillex_training.data.findings import Kind
from distillex_training.data.formats.label_studio import labelling_configuration
from distillex_training.data.formats.options import Offsets, ReadingOptions, Scheme
from distillex_training.data.formats.own import write_records
from distillex_training.data.formats.reading import Reading
from distillex_training.data.formats.registry import FORMATS, Format
from distillex_training.data.formats.tags import LETTERS
from distillex_training.data.formats.writing import Output
from distillex_training.data.kept_inputs import is_input
from distillex_training.data.label_check import label_lines
from distillex_training.data.label_sources import read_aligned
from distillex_training.data.raw import read_raw
from distillex_training.data.records import UTF_8, Problem, Record, read_records
from distillex_training.data.resemblance import RESEMBLANCE
from distillex_training.data.stats import FileStats, file_stats, surfaces_of
from distillex_training.errors import DataError
from distillex_training.preconditions import check_paths, read_base, types_of_directory, types_of_model, wrong_use

if TYPE_CHECKING:
    from distillex_training.data.prelabel import Prelabelled

EXIT_FINDINGS = 1
EXIT_UNREADABLE = 2

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Convert, export, select, check and count labelled files."
)

Train = Annotated[Path, typer.Argument(help="Labelled JSON Lines: the training file.")]
Dev = Annotated[Path | None, typer.Argument(help="The development file, compared with the training file.")]
Joiner = Annotated[
    str, typer.Option(help="For formats made of tokens: the text between two tokens; a space for words.")
]
Encoding = Annotated[str, typer.Option(help="Encoding of the input files, such as gb18030; output is UTF-8.")]
TagNames = Annotated[
    str | None, typer.Option(help="Names of numeric tags, in order, such as O,B-name,I-name.", metavar="O,…")
]
OffsetCount = Annotated[
    Offsets,
    typer.Option(
        help="Unit of offsets. auto: code points, unless the surfaces in the file show otherwise; "
        "utf-16: as in JavaScript."
    ),
]
ReadScheme = Annotated[
    Scheme,
    typer.Option(help="Tag scheme to read; auto: recognised from the tags. bioes, bmes and bilou are read alike."),
]
WrittenFormat = Annotated[Format, typer.Option("--format", help="What to write.")]
WrittenScheme = Annotated[
    Scheme, typer.Option(help=f"Tag scheme to write: {', '.join(each.value for each in LETTERS)}.")
]
Flatten = Annotated[
    bool,
    typer.Option(
        "--flatten", help="Where spans overlap, keep the longer, then the earlier one, and report the others."
    ),
]
BaseLexicon = Annotated[
    Path | None, typer.Option(help="Compiled base lexicon for the model; default: the shipped one.")
]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the result to this file too.")]


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
        Format, typer.Option("--format", help="Input format; auto: recognised from each file's content.")
    ] = Format.AUTO,
    scheme: ReadScheme = Scheme.AUTO,
    joiner: Joiner = "",
    encoding: Encoding = UTF_8,
    tag_names: TagNames = None,
    offsets: OffsetCount = Offsets.AUTO,
    predictions: Annotated[
        bool,
        typer.Option("--predictions", help="Label Studio: take a model's predictions for tasks without annotations."),
    ] = False,
    sentences: Annotated[
        bool,
        typer.Option("--sentences", help="Split texts into one record per sentence, never inside an entity."),
    ] = False,
    dev: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of sentences for dev.jsonl; 0: no split.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 1,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1, and write nothing, if a record is bad.")
    ] = False,
) -> None:
    """Convert labelled files of other tools to JSON Lines.

    CoNLL columns and CoNLL-U, CSV of tokens and tags, Hugging Face tokens and ner_tags (JSON, Parquet, saved data
    sets), CLUENER, doccano, Label Studio, Prodigy, spaCy (.spacy and JSON), brat, GLiNER, UIE.

    Each span is checked against its text. A record with a problem is left out as a whole, and reported with file, line
    and reason.
    """
    try:
        options = ReadingOptions(scheme, joiner, encoding, _names(tag_names), offsets, predictions)
        readings = [read_any(file, format_, options) for file in input_files(inputs)]
    except DataError as error:
        _fail("convert", str(error))
    _name_problems(readings)
    if sentences:
        for reading in readings:
            reading.records = [part for record in reading.records for part in sentences_of(record)]
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
    for path, _ in written:
        _keep_inputs("convert", path, inputs)
    for path, part in written:
        _write_records("convert", path, part)
        typer.echo(f"{path}: {len(part):,} sentences, {sum(len(r.spans) for r in part):,} entities")
    typer.echo(f"{taken:,} records taken, {refused:,} left out" + (" (named above)" if refused else ""))


@app.command()
def export(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="Labelled files of any format, or folders of them; with --model raw text, one a line, or the texts of "
            ".jsonl files."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; for brat an empty or new folder.")],
    format_: WrittenFormat,
    model: Annotated[
        Path | None,
        typer.Option(
            exists=True, help="Folder of a trained or exported model: it labels the texts, for people to correct."
        ),
    ] = None,
    flatten: Flatten = False,
    scheme: WrittenScheme = Scheme.BIO2,
    input_format: Annotated[
        Format, typer.Option(help="Input format; auto: recognised from each file's content.")
    ] = Format.AUTO,
    input_scheme: ReadScheme = Scheme.AUTO,
    joiner: Joiner = "",
    encoding: Encoding = UTF_8,
    tag_names: TagNames = None,
    offsets: OffsetCount = Offsets.AUTO,
    base: BaseLexicon = None,
) -> None:
    """Write labelled files, or raw text that a model labels, in the format of another tool.

    'distillex data convert' reads the same records back. A record that the format cannot hold (such as overlapping
    spans in columns) is left out and reported with the reason.
    """
    _check_output("export", format_, scheme, output)
    _keep_inputs("export", output, inputs)
    if model is None:
        with wrong_use("data export"):
            input_files(inputs)
    else:
        lexicon = _check_raw_and_model("export", inputs, model, base)

    from distillex_training.errors import NotFiniteError

    try:
        if model is not None:
            found = _prelabelled(inputs, model, lexicon)
            written = _write(found, format_, Output(output, scheme, model.resolve().name), flatten)
        else:
            options = ReadingOptions(input_scheme, joiner, encoding, _names(tag_names), offsets)
            readings = [read_any(file, input_format, options) for file in input_files(inputs)]
            _name_problems(readings)
            records = [record for reading in readings for record in reading.records]
            written = export_records(records, format_, Output(output, scheme), flatten=flatten)
            written.refused += sum(reading.refused for reading in readings)
    except (NotFiniteError, OSError, ValueError) as error:
        _fail("export", str(error))
    _report(written, format_, output)


@app.command()
def select(
    inputs: Annotated[
        list[Path], typer.Argument(help="Raw text, one sentence a line, or .jsonl files, whose texts are read.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; for brat an empty or new folder.")],
    model: Annotated[Path, typer.Option(exists=True, help="A model's folder, trained or exported.")],
    count: Annotated[int, typer.Option("--number", "-n", min=1, help="How many sentences to choose.")],
    format_: WrittenFormat = Format.LABEL_STUDIO,
    labelled: Annotated[
        list[Path] | None,
        typer.Option(help="Files already labelled, of any format: their texts are not chosen; repeatable."),
    ] = None,
    resemblance: Annotated[
        float,
        typer.Option(
            min=0.05,
            help="Two sentences that share this fraction of their character pairs are alike: the more "
            "certain one is skipped. Over 1: never.",
        ),
    ] = RESEMBLANCE,
    flatten: Flatten = False,
    scheme: WrittenScheme = Scheme.BIO2,
    base: BaseLexicon = None,
) -> None:
    """Choose the raw sentences most worth labelling: those that a model is least certain about.

    They are written with the model's labels, the least certain first. The measure is the probability of the most
    probable label sequence by the CRF, normalized by length (MNLP, Shen et al. 2018).
    """
    _check_output("select", format_, scheme, output)
    _keep_inputs("select", output, [*inputs, *(labelled or ())])
    lexicon = _check_raw_and_model("select", inputs, model, base)

    from distillex_training.data.selection import select as choose
    from distillex_training.errors import NotFiniteError

    try:
        readings = [read_any(file) for file in input_files(labelled)] if labelled else []
        _name_problems(readings)
        known = [record.text for reading in readings for record in reading.records]
        found = _prelabelled(inputs, model, lexicon)
        selected = choose(found, count, labelled=known, resemblance=resemblance)
        if not selected.chosen:
            _fail("select", "every sentence is labelled already, or resembles one that is (--resemblance)")
        name = model.resolve().name
        written = _write(selected.chosen, format_, Output(output, scheme, name), flatten)
    except (NotFiniteError, OSError, ValueError) as error:
        _fail("select", str(error))
    first, last = selected.chosen[0].confidence, selected.chosen[-1].confidence
    typer.echo(
        f"{len(selected.chosen):,} of {len(found):,} sentences, confidence {first:.4f} to {last:.4f}; passed over: "
        f"{selected.known:,} known, {selected.alike:,} alike"
    )
    if len(selected.chosen) < count:
        typer.echo(f"{count:,} were asked for: the others are known or alike (--resemblance)", err=True)
    _report(written, format_, output)


@app.command()
def check(
    train: Train,
    dev: Dev = None,
    max_length: Annotated[int, typer.Option(help="Longest sentence in characters.")] = 510,
    declaration: Annotated[
        Path | None,
        typer.Option(
            help="YAML file that maps the files' types to the model's (`types: {PER: name}`); checked against "
            "the files."
        ),
    ] = None,
    types: Annotated[
        str | None, typer.Option(help="The model's entity types, separated by commas; others are errors.")
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="TRAIN is a file for `distillation.labels`, for example from an LLM: entities may have text without "
            "offsets, and scores; types other than --types are warnings. Counts entities and scores by type.",
        ),
    ] = False,
    raw: Annotated[
        list[Path] | None,
        typer.Option(help="With --labels: raw text, to count how much of it is labelled; repeatable."),
    ] = None,
    show: Annotated[int, typer.Option(help="Findings to show per kind; 0 shows all.")] = 10,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings too.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Find errors in labelled files: bad spans, label typos, contradictions, leakage between the files.

    Exit codes: 0 no errors (perhaps warnings), 1 errors, 2 a file or the declaration cannot be read.
    """
    _keep_inputs("check", json_file, (train, dev, declaration, *(raw or ())))
    if raw and not labels:
        _fail("check", "--raw goes with --labels")
    entity_types = tuple(name.strip() for name in (types or "").split(",") if name.strip())
    try:
        aligned = read_aligned(train) if labels else None
        counted = label_lines(aligned[0], raw or ()) if aligned else []
        findings = check_files(
            train, dev, max_length=max_length, declaration=declaration, entity_types=entity_types, labels=aligned
        )
    except DataError as error:
        _fail("check", str(error))
    for line in counted:
        typer.echo(line)
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
    _keep_inputs("stats", json_file, (train, dev))
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
    declaration: Annotated[
        Path | None, typer.Option(help="YAML file that maps the file's types to the model's.")
    ] = None,
    teacher: Annotated[
        list[Path] | None, typer.Option(help="Model directory of a teacher; repeat for several that decide together.")
    ] = None,
    times: Annotated[bool, typer.Option("--times", help="Label the type `time`, where it is open, by rules.")] = False,
    entity: Annotated[
        float, typer.Option(min=0, max=1, help="A span with at least this posterior is an entity.")
    ] = 0.9,
    nothing: Annotated[
        float,
        typer.Option(min=0, max=1, help="A character with at most this probability of being in an entity is outside."),
    ] = 0.1,
    open_weight: Annotated[float, typer.Option(min=0, help="Weight of a sentence with labels left open.")] = 0.5,
    base: BaseLexicon = None,
) -> None:
    """Complete partial labels: rules and teachers label what a corpus leaves open, where they are certain."""
    from distillex_matcher import LexiconError

    from distillex_training.data.declaration import read_declaration
    from distillex_training.data.labelled import LabelledFile, disjoint_records
    from distillex_training.errors import ConfigError, ModelDirectoryError

    _keep_inputs("close", output, (data, declaration, base))
    with wrong_use("data close"):
        known = [types_of_directory(each) for each in teacher or ()]
        types = known[0] if known else ()
        lexicon = read_base(base)
        declared = None if declaration is None else read_declaration(declaration, types)
        file = LabelledFile(data, declared).records(types)
        if file.problems:
            raise DataError.of(file.problems)
        records, notes = disjoint_records(data, file.records)

    from distillex_training.data.closing import Certainty, close_records, close_times
    from distillex_training.ensemble import Ensemble

    try:
        ensemble = Ensemble(teacher, lexicon) if teacher else None
        if times:
            records, found = close_times(records)
            notes.append(f"{found:,} times by rules")
        if ensemble is not None:
            records, closed = close_records(records, ensemble, Certainty(entity, nothing, open_weight))
            notes.append(str(closed))
    except (ConfigError, DataError, LexiconError, ModelDirectoryError) as error:
        _fail("close", str(error))
    _write_records("close", output, records)
    for note in notes:
        typer.echo(note)
    typer.echo(f"{output}: {len(records):,} sentences, {sum(len(r.spans) for r in records):,} entities")


def _names(tag_names: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (tag_names or "").split(",") if name.strip())


def _name_problems(readings: Sequence[Reading]) -> None:
    for reading in readings:
        for line in (*map(str, reading.problems), *reading.notes):
            typer.echo(line, err=True)


def _check_output(command: str, kind: Format, scheme: Scheme, output: Path) -> None:
    if kind is Format.AUTO:
        _fail(command, f"--format auto is for reading; accepted: {', '.join(each.value for each in FORMATS)}")
    if scheme not in LETTERS:
        _fail(command, f"--scheme {scheme.value} is not written; accepted: {', '.join(each.value for each in LETTERS)}")
    if output.is_dir() and not FORMATS[kind].is_folder:
        _fail(command, f"{output} is a folder; {kind.value} is written to a file")


def _write_records(command: str, output: Path, records: Sequence[Record]) -> None:
    try:
        write_records(output, records)
    except OSError as error:
        _fail(command, f"{output}: {error.strerror}")


def _keep_inputs(command: str, output: Path | None, inputs: Sequence[Path | None]) -> None:
    try:
        lost = output is not None and is_input(output, inputs)
    except DataError as error:
        _fail(command, str(error))
    if lost:
        _fail(command, f"{output} is one of the files that are read, and would be lost: give another output")


def _check_raw_and_model(command: str, inputs: Sequence[Path], model: Path, base: Path | None) -> Lexicon:
    with wrong_use(f"data {command}"):
        check_paths("INPUTS", inputs)
        types_of_model(model)
        return read_base(base)


def _prelabelled(inputs: Sequence[Path], model: Path, lexicon: Lexicon) -> list[Prelabelled]:
    """Have a model label raw text."""
    from distillex_training.data.prelabel import prelabel
    from distillex_training.opened_model import open_model

    opened = open_model(model)
    limit = opened.longest_text
    texts, longer = read_raw(inputs, max_length=limit)
    if longer:
        typer.echo(f"{longer:,} sentences of more than {limit} characters were left out", err=True)
    return prelabel(texts, opened, lexicon, inputs[0])


def _write(found: Sequence[Prelabelled], kind: Format, output: Output, flatten: bool) -> Exported:
    output = dataclasses.replace(output, confidences=tuple(each.confidence for each in found))
    return export_records([each.record for each in found], kind, output, flatten=flatten)


def _report(written: Exported, kind: Format, output: Path) -> None:
    for line in (*map(str, written.problems), *written.notes):
        typer.echo(line, err=True)
    spans = [span for record in written.records for span in record.spans]
    if kind is Format.LABEL_STUDIO:
        types = sorted({span.type for span in spans})
        typer.echo(f"labelling configuration of its project: {labelling_configuration(types)}")
    left = f"; {written.refused:,} left out (named above)" if written.refused else ""
    typer.echo(f"{output}: {len(written.records):,} sentences, {len(spans):,} entities{left}")


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
    print_table(table)


def _first_of(problems: Sequence[Problem]) -> str:
    if not problems:
        return ""
    more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
    return f": line {problems[0].line}: {problems[0].reason}{more}"


def _fail(command: str, message: str, code: int = EXIT_UNREADABLE) -> NoReturn:
    fail(f"data {command}", message, code)
