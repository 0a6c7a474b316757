"""CSV or TSV of a token and its tag a row, with a heading, and usually a column that says which sentence it is of."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.reading import Reading, Source
from distillex_training.data.formats.tags import Tagged, Token, no_tag, parse_tag, tags_of, take
from distillex_training.data.formats.writing import Output
from distillex_training.data.records import Record
from distillex_training.errors import DataError

TOKEN_NAMES = ("token", "tokens", "word", "words", "char", "character", "字", "词", "text")
TAG_NAMES = ("tag", "tags", "ner_tag", "ner_tags", "label", "labels", "ner", "iob", "bio", "标签")
SENTENCE_NAMES = ("sentence_id", "sentence #", "sentence", "sent_id", "sentence_idx", "sentence_number", "句子")


def delimiter_of(line: str) -> str | None:
    """Return what separates the columns of a heading; None where a line is no heading of such a table."""
    for delimiter in (",", "\t", ";"):
        names = _names(next(csv.reader([line], delimiter=delimiter), []))
        if _place(names, TOKEN_NAMES) is not None and _place(names, TAG_NAMES) is not None:
            return delimiter
    return None


def read_tag_table(source: Source) -> Reading:
    """Read a table; rows of one sentence stand together, with its name in each row or in the first alone.

    Without a column for it, a blank row ends a sentence.

    Raises
    ------
    DataError
        For a table without a heading that names a column of tokens and one of tags.
    """
    reading = Reading(source.path, source.options)
    first, _, _ = source.text.partition("\n")
    delimiter = delimiter_of(first)
    if delimiter is None:
        raise DataError(
            f"{source.path}:1: no heading with a column of tokens ({', '.join(TOKEN_NAMES)}) and one of tags "
            f"({', '.join(TAG_NAMES)}): {first[:80]!r}"
        )
    rows = csv.reader(io.StringIO(source.text, newline=""), delimiter=delimiter)
    names = _names(next(rows))
    token_at, tag_at, sentence_at = (_place(names, known) for known in (TOKEN_NAMES, TAG_NAMES, SENTENCE_NAMES))
    assert token_at is not None
    assert tag_at is not None
    sentences: list[Tagged] = []
    current: str | None = None
    ended = True
    line = 1
    try:
        for row in rows:
            number, line = line + 1, rows.line_num
            if not any(row):
                ended = True
                continue
            name = row[sentence_at] if sentence_at is not None and sentence_at < len(row) else ""
            if ended or (name and name != current):
                sentences.append(Tagged(number))
                current, ended = name, False
            _take_row(sentences[-1], number, row, len(names), token_at, tag_at)
    except csv.Error as error:
        raise DataError(f"{source.path}:{rows.line_num}: no CSV: {error}") from None
    return take(reading, sentences)


def write_tag_table(records: Sequence[Record], output: Output) -> None:
    """Write ``sentence_id,token,tag`` with one character a row; records have no overlapping spans."""
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("sentence_id", "token", "tag"))
    for number, record in enumerate(records, start=1):
        tags = tags_of(len(record.text), record.spans, output.scheme)
        writer.writerows((number, token, tag) for token, tag in zip(record.text, tags, strict=True))
    write_atomically(output.path, table.getvalue())


def _names(heading: list[str]) -> list[str]:
    return [name.strip().lower() for name in heading]


def _place(names: list[str], known: Sequence[str]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _take_row(sentence: Tagged, line: int, row: list[str], width: int, token_at: int, tag_at: int) -> None:
    if len(row) != width:
        sentence.reasons.append((line, f"{len(row)} columns; the heading has {width}"))
        return
    token, tag = row[token_at], row[tag_at].strip()
    parsed = parse_tag(tag)
    if token == "":
        sentence.reasons.append((line, f"no token with the tag {tag!r}"))
    elif parsed is None:
        sentence.reasons.append((line, no_tag(tag)))
    else:
        sentence.tokens.append(Token(line, token, *parsed))
