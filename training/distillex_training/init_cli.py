"""Command ``distillex init``: commented configurations for one's own labelled files, with their entity types."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from distillex.command.options import EXIT_PRECONDITION, fail
from distillex.locations import shipped_models
from distillex_matcher.exported import WEIGHTS_FILE
from distillex_matcher.layout import write_atomically

from distillex_training.data.convert import read_any, split
from distillex_training.data.formats.own import write_records
from distillex_training.data.records import Record
from distillex_training.errors import DataError

FEWEST = 20
"""Labelled sentences, below which development F1 says next to nothing."""
DEV_SHARE = 0.1
SPLIT_SEED = 1
STEPS_WANTED = 900
"""Optimiser steps of a student that begins with another one; below a thousand sentences epochs make up for them."""
BATCH = 32


@dataclass(frozen=True)
class Found:
    """What a configuration is written for."""

    name: str
    folder: Path
    train: Path
    dev: Path
    types: tuple[str, ...]
    sentences: int
    raw: tuple[Path, ...] = ()
    raw_sentences: int = 0


def init(
    name: Annotated[str, typer.Argument(help="Name of the new student, and the folder for its configurations.")],
    train: Annotated[
        list[Path],
        typer.Option("--train", help="Labelled file in any format that 'distillex data convert' reads; repeatable."),
    ],
    dev: Annotated[Path | None, typer.Option(help="Labelled development file; default: a tenth of --train.")] = None,
    raw: Annotated[
        list[Path] | None, typer.Option("--raw", help="Unlabelled text, one sentence per line, for a teacher to label.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="The teacher's encoder: a name or folder that AutoModel.from_pretrained reads.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what an earlier init wrote.")] = False,
) -> None:
    """Write configurations for your labelled files, with their types and a development split.

    Writes train.jsonl, dev.jsonl and student.yaml (for 'distillex distill') into NAME, and with --raw teacher.yaml (for
    'distillex finetune').
    """
    folder = Path(name)
    if not folder.name or folder.name in (".", ".."):
        fail("init", f"{name!r} is no name; one such as shop is accepted", EXIT_PRECONDITION)
    written = [folder / file for file in ("student.yaml", "teacher.yaml", "train.jsonl", "dev.jsonl")]
    there = [str(path) for path in written if path.exists()]
    if there and not force:
        fail("init", f"{', '.join(there)} would be lost: give another name, or --force", EXIT_PRECONDITION)
    try:
        records = [record for path in train for record in _read(path)]
        kept, set_aside = (records, list(_read(dev))) if dev is not None else split(records, DEV_SHARE, SPLIT_SEED)
        raw_sentences = sum(_count(path) for path in raw or ())
    except DataError as error:
        fail("init", str(error), EXIT_PRECONDITION)
    types = tuple(sorted({kind for record in records for span in record.spans for kind in span.types}))
    if not types:
        fail("init", f"{', '.join(map(str, train))}: no entity is labelled in it", EXIT_PRECONDITION)
    if not any(record.spans for record in set_aside):
        too_few = f"{len(records)} sentences leave no labelled one for development; label more, or give --dev"
        fail("init", too_few, EXIT_PRECONDITION)
    folder.mkdir(parents=True, exist_ok=True)
    found = Found(
        folder.name,
        folder,
        folder / "train.jsonl",
        folder / "dev.jsonl",
        types,
        len(kept),
        tuple(raw or ()),
        raw_sentences,
    )
    write_records(found.train, kept)
    write_records(found.dev, set_aside)
    teacher_encoder = encoder or _shipped("encoder-news")
    with_teacher = bool(raw) and teacher_encoder is not None
    write_atomically(folder / "student.yaml", student_configuration(found, with_teacher))
    if with_teacher:
        write_atomically(folder / "teacher.yaml", teacher_configuration(found, str(teacher_encoder)))
    typer.echo(f"{len(kept):,} sentences to train on, {len(set_aside):,} for development; types: {', '.join(types)}")
    if len(set_aside) < FEWEST:
        typer.echo(f"{len(set_aside)} development sentences say little: an F1 of them is right to some ten points")
    if raw and teacher_encoder is None:
        typer.echo(
            "no encoder for a teacher comes with this installation: give --encoder NAME to have the raw text labelled"
        )
    typer.echo("next:")
    for line in commands(found, with_teacher):
        typer.echo(f"  {line}")


def commands(found: Found, with_teacher: bool) -> list[str]:
    """Return what to run, in order."""
    teacher = (
        [f"distillex finetune {found.folder / 'teacher.yaml'} -o runs/{found.name}-teacher"] if with_teacher else []
    )
    return [
        *teacher,
        f"distillex distill {found.folder / 'student.yaml'} -o runs/{found.name}",
        f"distillex export runs/{found.name}/best -o models/student-{found.name}",
        f"distillex serve --student {found.name}",
    ]


def student_configuration(found: Found, with_teacher: bool) -> str:
    """Return a commented configuration of ``distillex distill``."""
    initial = _shipped("student-cluener")
    epochs = 4 if with_teacher else max(12, min(60, STEPS_WANTED * BATCH // found.sentences))
    lines = [
        f"# A student of {', '.join(found.types)}. The documentation (Configuration) lists all keys; each can be",
        "# changed on the command line, such as --set loop.epochs=20.",
        *(f"#   {line}" for line in commands(found, with_teacher)),
        "data:",
        "  train: train.jsonl # beside this file; several files, weights and declarations: the documentation (Train)",
        "  dev: dev.jsonl # the epoch with the best F1 on it is kept",
        f"  types: [{', '.join(map(_quoted, found.types))}]",
    ]
    if found.raw:
        lines += ["  raw: # labelled by the teacher" if with_teacher else "  raw: # for the vocabulary's characters"]
        lines += [f"    - {_quoted(_from(found.folder, path))}" for path in found.raw]
    if initial is not None:
        lines += [
            f"init_from: {_quoted(str(initial))} # begins with a student that knows Chinese already: few labels do",
            f"learning_rate: {'2.0e-3' if with_teacher else '4.0e-3'}",
        ]
    lines += ["student:"]
    if initial is None:
        lines += ["  width: 160", "  bigram_hash_size: 131072", "  collision_free_bigrams: true"]
    dropout = "0.15" if with_teacher else "0.35 # few labels are learnt by heart with less"
    lines += [f"  dropout: {dropout}", "  character_dropout: 0.1"]
    if with_teacher:
        repeats = max(1, min(20, round(found.raw_sentences / 4 / found.sentences)))
        lines += [
            "distillation:",
            f"  teacher: runs/{found.name}-teacher/best",
            "  losses: {k_best: 1.0} # others: the documentation (Distillation)",
            f"  gold_repeats: {repeats} # of the labelled sentences in an epoch, beside {found.raw_sentences:,} raw",
        ]
    lines += [
        "loop:",
        f"  epochs: {epochs}",
        f"  batch_size: {BATCH}",
        f"  averaging: {0.999 if with_teacher else 0.995}",
    ]
    return "\n".join(lines) + "\n"


def teacher_configuration(found: Found, encoder: str) -> str:
    """Return a commented configuration of ``distillex finetune``."""
    epochs = max(4, min(30, 8000 // found.sentences))
    lines = [
        f"# A teacher of {', '.join(found.types)}: it labels the raw text that the student learns from.",
        f"#   {commands(found, True)[0]}",
        "data:",
        "  train: train.jsonl",
        "  dev: dev.jsonl",
        f"  types: [{', '.join(map(_quoted, found.types))}]",
        "  raw: # the vocabulary is to have its characters",
        *(f"    - {_quoted(_from(found.folder, path))}" for path in found.raw),
        f"encoder: {_quoted(encoder)} # what AutoModel.from_pretrained reads: a larger one is a better teacher",
        "loop:",
        f"  epochs: {epochs}",
        "  batch_size: 16",
        "  max_characters: 2048",
        "  averaging: 0.99",
        "  bf16: true",
    ]
    return "\n".join(lines) + "\n"


def _read(path: Path) -> list[Record]:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    reading = read_any(path)
    if reading.problems:
        raise DataError.of(reading.problems)
    return list(reading.records)


def _count(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(1 for line in file if line.strip())
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def _shipped(name: str) -> Path | None:
    """Return a trained model that comes with distillex; None where its weights do not (the package has none)."""
    folder = shipped_models() / name
    if not (folder / WEIGHTS_FILE).is_file():
        return None
    working = Path("models") / name
    return working if working.is_dir() and working.resolve() == folder.resolve() else folder


def _from(folder: Path, path: Path) -> str:
    """Return a path as a file in a folder names it: relative where both are."""
    return str(path) if path.is_absolute() else os.path.relpath(path, folder)


def _quoted(text: str) -> str:
    """Return a text as YAML reads it back."""
    import yaml

    plain: str = yaml.safe_dump(text, allow_unicode=True, width=10_000, default_flow_style=True)
    return plain.removesuffix("\n").removesuffix("...").strip()
