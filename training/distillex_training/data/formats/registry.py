"""All formats of labelled files, and how a file's format is recognised by its content."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from distillex_training.data.formats import (
    arrow,
    brat,
    cluener,
    columns,
    conllu,
    doccano,
    gliner,
    label_studio,
    own,
    prodigy,
    spacy_docbin,
    spacy_json,
    tag_tables,
    token_tags,
    uie,
)
from distillex_training.data.formats.json_records import first_values
from distillex_training.data.formats.reading import Reading, Source
from distillex_training.data.formats.tags import is_tag
from distillex_training.data.formats.writing import Output
from distillex_training.data.records import Record, lines_of, overlaps
from distillex_training.errors import DataError

LINE_BREAKS = "\n\r"
BYTE_ORDER_MARK = "\ufeff"


class Format(str, enum.Enum):
    """Names of the formats."""

    AUTO = "auto"
    COLUMNS = "columns"
    CONLLU = "conllu"
    CSV_TAGS = "csv-tags"
    TOKENS = "tokens"
    PARQUET = "parquet"
    CLUENER = "cluener"
    DOCCANO = "doccano"
    LABEL_STUDIO = "label-studio"
    PRODIGY = "prodigy"
    SPACY = "spacy"
    SPACY_JSON = "spacy-json"
    BRAT = "brat"
    GLINER = "gliner"
    UIE = "uie"
    DISTILLEX = "distillex"


@dataclass(frozen=True)
class FileFormat:
    """What a format is read and written by, and what it cannot hold."""

    read: Callable[[Source], Reading]
    write: Callable[[Sequence[Record], Output], None]
    is_folder: bool = False
    """Written as a folder."""
    nests: bool = True
    """Holds overlapping spans."""
    spaced_types: bool = True
    """Holds types whose name has white space."""
    no_type: Callable[[str, str], bool] | None = None
    """Tells of a type in a text that it would be read as something else; None: none is."""
    spaced_edges: bool = True
    """Holds spans that begin or end with white space."""
    lacks: str = ""
    """Characters that its texts cannot hold."""
    partial: bool = False
    """Holds what is not labelled, and weights."""

    def refusals(self, record: Record) -> list[str]:
        """Tell why a record cannot be written."""
        found = []
        spans = record.spans
        if not self.nests and overlaps(spans):
            found.append("its spans overlap (--flatten keeps the longer ones)")
        if not self.partial and (record.open or any(span.also for span in spans)):
            found.append('it is labelled in part ("open", "also")')
        if held := sorted(set(record.text) & set(self.lacks)):
            found.append(f"its text holds {', '.join(map(repr, held))}")
        for span in spans:
            surface = record.text[span.start : span.end]
            if not self.spaced_types and (span.type.split() != [span.type] or not is_tag(f"B-{span.type}")):
                found.append(f"the type {span.type!r} has white space")
            if self.no_type is not None and self.no_type(span.type, record.text):
                found.append(f"the type {span.type!r} is read as something else")
            if not self.spaced_edges and surface != surface.strip():
                found.append(f"the span [{span.start}, {span.end}) {surface!r} begins or ends with white space")
        return list(dict.fromkeys(found))


FORMATS: dict[Format, FileFormat] = {
    Format.COLUMNS: FileFormat(
        *(columns.read_columns, columns.write_columns),
        nests=False,
        spaced_types=False,
        lacks=f"{LINE_BREAKS}\t{BYTE_ORDER_MARK}",
    ),
    Format.CONLLU: FileFormat(
        *(conllu.read_conllu, conllu.write_conllu),
        nests=False,
        spaced_types=False,
        no_type=conllu.is_no_type,
        spaced_edges=False,
        lacks=LINE_BREAKS,
    ),
    Format.CSV_TAGS: FileFormat(
        tag_tables.read_tag_table, tag_tables.write_tag_table, nests=False, spaced_types=False, lacks="\r"
    ),
    Format.TOKENS: FileFormat(token_tags.read_token_tags, token_tags.write_token_tags, nests=False, spaced_types=False),
    Format.PARQUET: FileFormat(arrow.read_arrow, arrow.write_parquet, nests=False, spaced_types=False),
    Format.CLUENER: FileFormat(cluener.read_cluener, cluener.write_cluener),
    Format.DOCCANO: FileFormat(doccano.read_doccano, doccano.write_doccano),
    Format.LABEL_STUDIO: FileFormat(label_studio.read_label_studio, label_studio.write_label_studio),
    Format.PRODIGY: FileFormat(prodigy.read_prodigy, prodigy.write_prodigy),
    Format.SPACY: FileFormat(spacy_docbin.read_docbin, spacy_docbin.write_docbin),
    Format.SPACY_JSON: FileFormat(spacy_json.read_spacy_json, spacy_json.write_spacy_json, nests=False),
    Format.BRAT: FileFormat(
        *(brat.read_brat, brat.write_brat),
        is_folder=True,
        spaced_types=False,
        spaced_edges=False,
        lacks=BYTE_ORDER_MARK,
    ),
    Format.GLINER: FileFormat(gliner.read_gliner, gliner.write_gliner),
    Format.UIE: FileFormat(uie.read_uie, uie.write_uie, no_type=uie.is_no_type),
    Format.DISTILLEX: FileFormat(own.read_own, own.write_own, partial=True),
}
NAMES = ", ".join(kind.value for kind in FORMATS)
NO_FORMAT = {
    b"PK\x03\x04": "an Excel file or another archive: save the table as CSV (UTF-8), or unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save the table as CSV (UTF-8)",
    b"\x1f\x8b": "compressed by gzip: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it",
}
"""First bytes of files that are none of the formats."""
SURE, LIKELY = 2, 1


def read(source: Source, kind: Format = Format.AUTO) -> Reading:
    """Read a file of any format.

    Raises
    ------
    DataError
        For a file that cannot be read at all; single records with problems are in the reading.
    """
    return FORMATS[detect(source) if kind is Format.AUTO else kind].read(source)


def detect(source: Source) -> Format:
    """Tell a file's format by its content.

    Raises
    ------
    DataError
        For an empty file, one of no known form, or one that is none of labels.
    """
    path = source.path
    if path.is_dir():
        return Format.PARQUET
    if path.suffix == brat.ANNOTATION_SUFFIX:
        return Format.BRAT
    for magic, what in NO_FORMAT.items():
        if source.content.startswith(magic):
            raise DataError(f"{path}: {what}")
    if source.content.startswith((arrow.PARQUET_MAGIC, arrow.ARROW_MAGIC, arrow.ARROW_STREAM_MAGIC)):
        return Format.PARQUET
    if source.content.startswith(spacy_docbin.MAGIC):
        return Format.SPACY
    first = next((line for _, line in lines_of(source.text) if line.strip()), None)
    if first is None:
        raise DataError(f"{path}: the file is empty")
    if re.match(r"\s*[\[{]", first) and not is_tag(first.split()[-1]):
        return _of_json(source)
    if brat.is_annotation(first):
        return Format.BRAT
    if tag_tables.delimiter_of(first) is not None:
        return Format.CSV_TAGS
    words = (line for _, line in lines_of(source.text) if line.strip() and not line.startswith("#"))
    return Format.CONLLU if conllu.is_conllu(next(words, "")) else Format.COLUMNS


def _of_json(source: Source) -> Format:
    """Tell the format by the first record that has a label, else by the keys of the first record."""
    values = first_values(source)
    if not values:
        raise DataError(f"{source.path}: begins like JSON but its first line is none; name the format with --format")
    likely: Format | None = None
    for value in values:
        kind, certainty = _of_value(value)
        if certainty == SURE:
            assert kind is not None
            return kind
        likely = likely or kind
    if likely is not None:
        return likely
    first = values[0]
    found = f"has the keys {', '.join(map(repr, first))}" if isinstance(first, dict) else f"is {str(first)[:60]}"
    raise DataError(f"{source.path}: its first record {found}: none of the known formats; accepted: {NAMES} (--format)")


def _of_value(value: Any) -> tuple[Format | None, int]:
    """Return the format that a record is of, and how sure that is."""
    if spacy_json.is_spacy(value):
        return Format.SPACY_JSON, SURE
    if not isinstance(value, dict):
        return None, 0
    if gliner.TOKENS_KEY in value:
        return Format.GLINER, SURE
    if "result_list" in value and "prompt" in value:
        return Format.UIE, SURE
    keys = token_tags.keys_of(value)
    if keys is not None and value[keys[0]]:
        return Format.TOKENS, SURE
    if label_studio.is_task(value):
        return Format.LABEL_STUDIO, SURE
    labels = [value.get(key) for key in doccano.LABEL_KEYS]
    if any(isinstance(each, dict) for each in labels[:2]):
        return Format.CLUENER, SURE
    if any(isinstance(each, list) and each and doccano.is_place(each[0]) for each in labels):
        return Format.DOCCANO, SURE
    entities = value.get("entities")
    if isinstance(entities, list) and entities:
        return Format.DISTILLEX, SURE
    if "spans" in value or "_task_hash" in value:
        return Format.PRODIGY, SURE if value.get("spans") else LIKELY
    if any(isinstance(each, list) for each in labels[:2]) or ("entities" in value and "relations" in value):
        return Format.DOCCANO, LIKELY
    if isinstance(entities, list):
        return Format.DISTILLEX, LIKELY
    if label_studio.is_minimal_task(value):
        return Format.LABEL_STUDIO, LIKELY
    return None, 0
