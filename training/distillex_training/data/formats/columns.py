"""CoNLL-style columns: one token and its tag a line, a blank line between sentences; BIO, BIO2, BIOES (BILOU), BMES."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.reading import Reading, Source
from distillex_training.data.formats.tags import Tagged, Token, is_tag, no_tag, parse_tag, tags_of, take
from distillex_training.data.formats.writing import Output
from distillex_training.data.records import HAN, Record, lines_of
from distillex_training.errors import DataError

DOCUMENT_START = "-DOCSTART-"
COMMENT = re.compile(r"#\s*[\w.:-]+(\s+[\w.:-]+)?\s+=\s")
"""``# sent_id = 1``, wherever it stands."""
MARKS = ("newdoc", "newpar")
"""Comments of one word."""
LONGEST_WORDS = 6
"""Chinese characters a token, on average; words have about 1.7."""
Line = tuple[int, list[str]]
"""A line's number and its columns."""


def read_columns(source: Source) -> Reading:
    """Read a file of columns; the token is the first column, the tag the last, separated by tabs or else spaces.

    A column before the tokens that numbers them, digits behind characters that number them within their word (Weibo
    NER), and comments (``# sent_id = 1``, and lines with ``#`` before the first token of a sentence that are no token
    and tag) are passed over, and noted.

    Raises
    ------
    DataError
        For a file with a line of tags for a line of text, or whose tokens are whole clauses.
    """
    path = source.path
    reading = Reading(path, source.options)
    blocks = list(_blocks(source.text, reading))
    lines = [line for block in blocks for line in block]
    _refuse_lines_of_tags(path, lines)
    if _are_numbered(blocks):
        lines_without = {number: columns[1:] for number, columns in lines}
        blocks = [[(number, lines_without[number]) for number, _ in block] for block in blocks]
        reading.notes.append(f"{path}: a first column that numbers the tokens was passed over")
    width = _width(columns for block in blocks for _, columns in block)
    sentences = [_sentence(block, width) for block in blocks]
    if _have_digits([sentence.tokens for sentence in sentences]):
        for sentence in sentences:
            sentence.tokens[:] = [dataclasses.replace(token, text=token.text[0]) for token in sentence.tokens]
        reading.notes.append(f"{path}: a digit behind each character, its place in a word, was passed over")
    _refuse_clauses(path, [token.text for sentence in sentences for token in sentence.tokens])
    return take(reading, sentences)


def write_columns(records: Sequence[Record], output: Output) -> None:
    """Write one character and its tag a line, a tab between them; records have no overlapping spans."""
    sentences = []
    for record in records:
        tags = tags_of(len(record.text), record.spans, output.scheme)
        sentences.append("".join(f"{token}\t{tag}\n" for token, tag in zip(record.text, tags, strict=True)))
    write_atomically(output.path, "\n".join(sentences))


def _blocks(content: str, reading: Reading) -> Iterator[list[Line]]:
    """Yield the lines of each sentence, split into columns."""
    lines = [line for _, line in lines_of(content) if line.strip(" \t")]
    width = _width(map(_columns, [line for line in lines if not line.startswith("#")] or lines))
    block: list[Line] = []
    separators = comments = 0
    for number, line in [*lines_of(content), (0, "")]:
        separators += line.startswith(DOCUMENT_START)
        columns = _columns(line)
        if _is_comment(line, columns, width, begins=not block):
            comments += 1
        elif line.strip(" \t") and not line.startswith(DOCUMENT_START):
            block.append((number, columns))
        elif block:
            yield block
            block = []
    if separators:
        reading.notes.append(f"{reading.path}: {separators} document separators ({DOCUMENT_START}) passed over")
    if comments:
        reading.notes.append(f"{reading.path}: {comments} comments (#) passed over")


def _width(lines: Iterable[list[str]]) -> int:
    return max(Counter(map(len, lines)).most_common(1), default=(0, 0))[0]


def _is_comment(line: str, columns: list[str], width: int, *, begins: bool) -> bool:
    if not line.startswith("#"):
        return False
    if COMMENT.match(line):
        return True
    if not begins:
        return False
    return len(columns) != width or (columns[-1] in MARKS and not is_tag(columns[-1]))


def _columns(line: str) -> list[str]:
    if "\t" in line:
        first, *others = line.rstrip(" \t").split("\t")
        return [first, *(column.strip() for column in others)]
    first, *others = line.split(" ")
    if first == "":
        first = " "  # a space as token, separated by a space
    return [first, *(column for column in others if column)]


def _sentence(block: list[Line], width: int) -> Tagged:
    sentence = Tagged(block[0][0])
    for number, columns in block:
        token, reason = _token(number, columns, width)
        if token is not None:
            sentence.tokens.append(token)
        else:
            sentence.reasons.append((number, reason))
    return sentence


def _token(number: int, columns: list[str], width: int) -> tuple[Token | None, str]:
    text, tag = columns[0], columns[-1]
    if len(columns) < 2:
        return None, f"{text!r} has no tag: expected a token, a tab or space, and a tag"
    if text == "":
        return None, f"no token before the tag {tag!r}"
    if len(columns) != width:
        return None, f"{len(columns)} columns, where other lines have {width}"
    parsed = parse_tag(tag)
    return (None, no_tag(tag)) if parsed is None else (Token(number, text, *parsed), "")


def _refuse_lines_of_tags(path: Path, lines: list[Line]) -> None:
    """Refuse a file that gives each line of text a line of tags, one a character."""
    tagged = [(columns[0], [tag for column in columns[1:] for tag in column.split()]) for _, columns in lines]
    one_each = all(len(text) == len(tags) and all(map(is_tag, tags)) for text, tags in tagged)
    if one_each and any(len(text) > 1 for text, _ in tagged):
        raise DataError(
            f"{path}:{lines[0][0]}: a line of tags for a line of text, white space between them, is not read: "
            "expected one token and its tag a line"
        )


def _are_numbered(blocks: list[list[Line]]) -> bool:
    """Tell whether a first column counts the tokens, of each sentence or of the file."""
    expected = 0
    total = 0
    for block in blocks:
        for place, (_, columns) in enumerate(block):
            if len(columns) < 3 or not (columns[0].isascii() and columns[0].isdecimal()):
                return False
            number = int(columns[0])
            if number != expected and not (place == 0 and number in (0, 1)):
                return False
            expected = number + 1
            total += 1
    return total > 1


def _have_digits(sentences: list[list[Token]]) -> bool:
    """Tell whether a number behind each character counts the characters of a word from 0."""
    previous = -1
    total = 0
    for tokens in sentences:
        for token in tokens:
            number = token.text[1:]
            if not (number.isascii() and number.isdecimal()) or int(number) not in (0, previous + 1):
                return False
            previous = int(number)
            total += 1
    return total > 1


def _refuse_clauses(path: Path, tokens: list[str]) -> None:
    """Refuse tokens that no segmentation makes, as exports of text without spaces have them."""
    lengths = [count for token in tokens if (count := len(HAN.findall(token)))]
    if lengths and sum(lengths) > LONGEST_WORDS * len(lengths):
        average = sum(lengths) / len(lengths)
        raise DataError(
            f"{path}: its tokens have {average:.0f} Chinese characters on average: they are clauses, and where in them "
            "the entities are is lost; export JSON"
        )
