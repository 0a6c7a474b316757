"""Records → a file of any format; what a format cannot hold is refused and named, or flattened where that is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from distillex_training.data.formats.registry import FORMATS, Format
from distillex_training.data.formats.writing import Output
from distillex_training.data.labelled import disjoint_records
from distillex_training.data.records import Problem, Record
from distillex_training.errors import DataError


@dataclass
class Exported:
    """What was written, and what was not."""

    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refused: int = 0
    notes: list[str] = field(default_factory=list)


def export_records(records: Sequence[Record], kind: Format, output: Output, *, flatten: bool = False) -> Exported:
    """Write records.

    Parameters
    ----------
    records
        What to write.
    kind
        In which format.
    output
        Where, and how.
    flatten
        Of overlapping spans keep the longer, then the earlier one.

    Raises
    ------
    DataError
        Where no record could be written, or the format's library is missing.
    """
    chosen = FORMATS[kind]
    exported = Exported()
    # People's files have their entities in any order; tools expect that of the text.
    records = [dataclasses.replace(record, spans=tuple(sorted(record.spans))) for record in records]
    if flatten:
        records, exported.notes = disjoint_records(output.path, records)
    kept = []
    for number, record in enumerate(records):
        reasons = chosen.refusals(record)
        if reasons:
            exported.refused += 1
            exported.problems += [Problem(record.path, record.line, f"{kind.value}: {each}") for each in reasons]
        else:
            kept.append(number)
    exported.records = [records[number] for number in kept]
    if not exported.records:
        first = f": {exported.problems[0]}" if exported.problems else ""
        raise DataError(f"no record can be written as {kind.value}{first}")
    beside = sum(record.weight != 1.0 or bool(record.domain) for record in exported.records)
    if beside and not chosen.partial:
        exported.notes.append(f"{beside} records have a weight or a domain, which {kind.value} does not hold")
    scored = sum(span.score != 1.0 for record in exported.records for span in record.spans)
    if scored and not chosen.partial:
        exported.notes.append(f"{scored} entities have a score, which {kind.value} does not hold")
    if output.confidences:
        output = dataclasses.replace(output, confidences=tuple(output.confidences[number] for number in kept))
    chosen.write(exported.records, output)
    return exported
