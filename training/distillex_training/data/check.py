"""Check labelled files: spans, labels, repeats, contradictions, and leakage between the splits."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from distillex_training.data.alignment import AlignmentReport
from distillex_training.data.convert import text_key
from distillex_training.data.declaration import Declaration, read_declaration
from distillex_training.data.findings import Finding, Kind
from distillex_training.data.label_check import of_alignment, of_types
from distillex_training.data.records import Record, RecordFile, read_records
from distillex_training.errors import DataError

FEWEST_IN_TRAIN = 10
FEWEST_IN_DEV = 3
RARER_BY = 20
"""A label is taken for a slip of a similar one that is so many times as frequent."""


def check_files(
    train: Path,
    dev: Path | None = None,
    *,
    max_length: int = 510,
    declaration: Path | None = None,
    entity_types: tuple[str, ...] = (),
    labels: tuple[RecordFile, AlignmentReport] | None = None,
) -> list[Finding]:
    """Check a training file and, against it, a development file.

    Parameters
    ----------
    train, dev
        Labelled JSON Lines.
    max_length
        Longest sentence in code points.
    declaration
        What the files' types mean: it is checked against them, and they are checked in terms of the model's types.
    entity_types
        The model's; others are findings. By default whatever is labelled, or declared.
    labels
        What :func:`~distillex_training.data.label_sources.read_aligned` read of the training file, where it is one of
        ``distillation.labels``: its types may be others than the model's.

    Raises
    ------
    DataError
        For a file that cannot be read, or without a record; for a declaration that cannot be read, or that names a type
        that the model does not have.
    """
    known = (entity_types or None) if declaration is None else None
    findings: list[Finding] = []
    if labels is not None:
        file, report = labels
        files = [file]
        findings += of_alignment(report)
        findings += of_types(file, entity_types) if known and file.records else ()
    else:
        files = [read_records(train, known)]
    if dev is not None:
        files.append(read_records(dev, known))
    for file in files:
        if not file.records and not file.problems:
            raise DataError(f"{file.path}: no sentence in it")
    if declaration is not None:
        declared = read_declaration(declaration, entity_types)
        findings += _of_declaration(declaration, declared, files, entity_types)
        files = [_declared(declared, file, entity_types) for file in files]
    for file in files:
        if not file.types and file.records:
            findings.append(Finding(Kind.NO_ENTITY, str(file.path), f"no entity in {len(file.records):,} sentences"))
        findings += [Finding(Kind.BAD_RECORD, f"{p.path}:{p.line}", p.reason) for p in file.problems]
        findings += _of_records(file.records, max_length)
        findings += _repeats(file.records)
    if declaration is None:
        findings += _label_typos(files)
    findings += _inconsistent([record for file in files for record in file.records])
    if len(files) == 2:
        findings += _between_splits(*files)
    return findings


def _of_declaration(
    path: Path, declaration: Declaration, files: Iterable[RecordFile], entity_types: tuple[str, ...]
) -> Iterator[Finding]:
    lines: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for record in file.records:
            for span in record.spans:
                for kind in span.types:
                    lines[kind].append(record.where)
    for kind in sorted(lines.keys() - declaration.types.keys()):
        message = f"{kind!r}, {len(lines[kind])} times; declared: {_names(declaration.types)}"
        yield Finding(Kind.UNDECLARED, lines[kind][0], message)
    for kind in sorted(declaration.types.keys() - lines.keys()):
        yield Finding(Kind.NEVER_LABELLED, str(path), repr(kind))
    for kind in sorted(set(entity_types) - set(declaration.model_types)):
        yield Finding(Kind.NOT_TOLD_OF, str(path), repr(kind))


def _declared(declaration: Declaration, file: RecordFile, entity_types: tuple[str, ...]) -> RecordFile:
    """Return the records whose types are declared, in terms of the model's; the others are findings already."""
    return dataclasses.replace(declaration.apply(file, entity_types), problems=file.problems)


def is_near_duplicate(label: str, other: str) -> bool:
    """Tell whether two label names differ by case, separators or one slip (edit distance 1, transposition included)."""
    plain, other_plain = (
        "".join(character for character in name.casefold() if character.isalnum()) for name in (label, other)
    )
    if plain == other_plain:
        return True
    if min(len(plain), len(other_plain)) < 3 or abs(len(plain) - len(other_plain)) > 1:
        return False
    return _one_slip(plain, other_plain)


def _one_slip(word: str, other: str) -> bool:
    start = next((i for i, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
    rest, other_rest = word[start:], other[start:]
    return (
        rest[1:] == other_rest[1:]  # another character
        or rest[1:] == other_rest
        or rest == other_rest[1:]  # one more or one less
        or (rest[:2] == other_rest[1::-1] and rest[2:] == other_rest[2:])  # two exchanged
    )


def _of_records(records: Iterable[Record], max_length: int) -> Iterator[Finding]:
    for record in records:
        if len(record.text) > max_length:
            message = f"{len(record.text)} characters; at most {max_length} are used at once"
            yield Finding(Kind.OVERLONG, record.where, message)
        for span, times in Counter(record.spans).items():
            surface = record.text[span.start : span.end]
            named = f"[{span.start}, {span.end}) {span.type} {surface!r}"
            if times > 1:
                yield Finding(Kind.REPEATED_SPAN, record.where, f"{named}, {times} times")
            if surface != surface.strip():
                yield Finding(Kind.WHITE_SPACE, record.where, named)
        ordered = sorted(set(record.spans))
        reach = None
        for span in ordered:
            if reach is not None and span.start < reach.end:
                yield Finding(
                    Kind.OVERLAP,
                    record.where,
                    f"[{reach.start}, {reach.end}) {reach.type} and [{span.start}, {span.end}) {span.type}",
                )
            reach = span if reach is None or span.end > reach.end else reach


def _repeats(records: Iterable[Record]) -> Iterator[Finding]:
    first: dict[str, Record] = {}
    for record in records:
        earlier = first.setdefault(text_key(record.text), record)
        if earlier is record:
            continue
        same = _labels_in_order(earlier) == _labels_in_order(record)
        message = f"the same sentence as line {earlier.line}" + ("" if same else ", labelled differently")
        yield Finding(Kind.DUPLICATE if same else Kind.CONFLICT, record.where, message)


def _labels_in_order(record: Record) -> list[tuple[str, str]]:
    return [(text_key(record.text[s.start : s.end]), s.type) for s in sorted(set(record.spans))]


def _label_typos(files: list[RecordFile]) -> Iterator[Finding]:
    counts: Counter[str] = Counter()
    lines: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for record in file.records:
            for span in record.spans:
                counts[span.type] += 1
                lines[span.type].append(record.where)
    ranked = [label for label, _ in counts.most_common()]
    for rank, label in enumerate(ranked):
        for other in ranked[:rank]:
            letters_alone = "".join(filter(str.isalnum, label.casefold())) == "".join(
                filter(str.isalnum, other.casefold())
            )
            if is_near_duplicate(label, other) and (letters_alone or counts[label] * RARER_BY <= counts[other]):
                message = f"label {label!r} ({counts[label]} times) looks like {other!r} ({counts[other]} times)"
                yield Finding(Kind.LABEL_TYPO, lines[label][0], message)
                break


def _inconsistent(records: Iterable[Record]) -> Iterator[Finding]:
    places: dict[str, dict[tuple[str, ...], list[str]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for span in set(record.spans):
            places[record.text[span.start : span.end]][tuple(sorted(span.types))].append(record.where)
    contradictory = [(surface, labels) for surface, labels in places.items() if not set.intersection(*map(set, labels))]
    contradictory.sort(key=lambda item: -sum(map(len, item[1].values())))
    for surface, labels in contradictory:
        ranked = sorted(labels.items(), key=lambda item: (-len(item[1]), item[0]))
        counted = ", ".join(f"{'/'.join(types)} {len(where)} times" for types, where in ranked)
        yield Finding(Kind.INCONSISTENT, ranked[-1][1][0], f"{surface!r} is {counted}")


def _between_splits(train: RecordFile, dev: RecordFile) -> Iterator[Finding]:
    counts = [
        Counter(kind for record in file.records for span in record.spans for kind in span.types)
        for file in (train, dev)
    ]
    in_train, in_dev = counts
    for label in sorted(in_dev.keys() - train.types):
        where = next(r.where for r in dev.records if any(label in span.types for span in r.spans))
        yield Finding(Kind.UNKNOWN_LABEL, where, f"{label!r}, {in_dev[label]} times; known: {_names(train.types)}")
    for label in sorted(train.types):
        if in_train[label] < FEWEST_IN_TRAIN or in_dev[label] < FEWEST_IN_DEV:
            message = (
                f"label {label!r}: {in_train[label]} in the training file, {in_dev[label]} in the development file"
            )
            yield Finding(Kind.RARE_LABEL, str(train.path), message)
    keys: dict[str, Record] = {}
    for record in train.records:
        keys.setdefault(text_key(record.text), record)
    for record in dev.records:
        twin = keys.get(text_key(record.text))
        if twin is not None:
            exact = "equals" if twin.text == record.text else "equals, after normalisation,"
            yield Finding(Kind.LEAK, record.where, f"{exact} {twin.where}")


def _names(labels: Iterable[str]) -> str:
    return ", ".join(sorted(labels))
