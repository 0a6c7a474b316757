"""CoNLL-style columns: one token and its tag a line, a blank line between sentences; BIO, BIO2, BIOES (BILOU), BMES."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distillex_training.data.formats.reading import Reading
from distillex_training.data.records import HAN, DataError, GoldSpan, Problem, lines_of

TAG = re.compile(r"([BIMESLU])[-_](\S+)")
OUTSIDE = "O"
DOCUMENT_START = "-DOCSTART-"
LONGEST_WORDS = 6
"""Chinese characters a token, on average; words have about 1.7."""
CANONICAL = {"M": "I", "L": "E", "U": "S"}
"""BMES and BILOU name the same four positions with other letters."""
Line = tuple[int, list[str]]
"""A line's number and its columns."""


class Scheme(str, enum.Enum):
    """How tags mark the borders of entities."""

    AUTO = "auto"
    BIO = "bio"
    """An entity begins with I; B only separates it from one of the same type just before (IOB1)."""
    BIO2 = "bio2"
    """An entity begins with B."""
    BIOES = "bioes"
    """B, I, E; S alone. Read as well: BMES (M inside) and BILOU (L last, U unit)."""


@dataclass(frozen=True)
class Token:
    """One line: a token and its tag."""

    line: int
    text: str
    position: str
    """B, I, E, S or O."""
    type: str


def read_columns(path: Path, content: str, scheme: Scheme = Scheme.AUTO, joiner: str = "") -> Reading:
    """Read a file of columns; the token is the first column, the tag the last, separated by tabs or else spaces.

    A column before the tokens that numbers them, and digits behind characters that number them within their word (Weibo
    NER), are passed over, and noted.

    Parameters
    ----------
    path
        The file, for messages.
    content
        Its text.
    scheme
        ``AUTO`` looks at the tags: E, S, M, L or U mean BIOES; else BIO2, unless most entities begin with I.
    joiner
        What stands between two tokens in the text: nothing for characters, a space for words.

    Raises
    ------
    DataError
        For a file with a line of tags for a line of text, or whose tokens are whole clauses.
    """
    reading = Reading(path)
    blocks = list(_blocks(content, reading))
    lines = [line for block in blocks for line in block]
    _refuse_lines_of_tags(path, lines)
    if _are_numbered(blocks):
        lines_without = {number: columns[1:] for number, columns in lines}
        blocks = [[(number, lines_without[number]) for number, _ in block] for block in blocks]
        reading.notes.append(f"{path}: a first column that numbers the tokens was passed over")
    width = Counter(len(columns) for block in blocks for _, columns in block).most_common(1)
    sentences = [_sentence(block, width[0][0]) for block in blocks]
    if _have_digits([tokens for tokens, _ in sentences]):
        for tokens, _ in sentences:
            tokens[:] = [dataclasses.replace(token, text=token.text[0]) for token in tokens]
        reading.notes.append(f"{path}: a digit behind each character, its place in a word, was passed over")
    _refuse_clauses(path, [token.text for tokens, _ in sentences for token in tokens])
    chosen = _scheme_of([tokens for tokens, _ in sentences]) if scheme is Scheme.AUTO else scheme
    for tokens, reasons in sentences:
        if not reasons:
            text, starts = _joined(tokens, joiner)
            spans, reasons = (_spans_bioes if chosen is Scheme.BIOES else _spans_bio)(tokens, starts, chosen)
        if reasons:
            reading.problems += [Problem(path, line, reason) for line, reason in reasons]
            reading.refused += 1
        else:
            reading.add(tokens[0].line, text, [(span, None) for span in spans])
    return reading


def _blocks(content: str, reading: Reading) -> Iterator[list[Line]]:
    """Yield the lines of each sentence, split into columns."""
    block: list[Line] = []
    separators = 0
    for number, line in [*lines_of(content), (0, "")]:
        separators += line.startswith(DOCUMENT_START)
        if line.strip(" \t") and not line.startswith(DOCUMENT_START):
            block.append((number, _columns(line)))
        elif block:
            yield block
            block = []
    if separators:
        reading.notes.append(f"{reading.path}: {separators} document separators ({DOCUMENT_START}) passed over")


def _columns(line: str) -> list[str]:
    if "\t" in line:
        first, *others = line.rstrip(" \t").split("\t")
        return [first, *(column.strip() for column in others)]
    first, *others = line.split(" ")
    if first == "":
        first = " "  # a space as token, separated by a space
    return [first, *(column for column in others if column)]


def _sentence(block: list[Line], width: int) -> tuple[list[Token], list[tuple[int, str]]]:
    tokens: list[Token] = []
    reasons: list[tuple[int, str]] = []
    for number, columns in block:
        token, reason = _token(number, columns, width)
        if token is not None:
            tokens.append(token)
        else:
            reasons.append((number, reason))
    return tokens, reasons


def _token(number: int, columns: list[str], width: int) -> tuple[Token | None, str]:
    text, tag = columns[0], columns[-1]
    if len(columns) < 2:
        return None, f"{text!r} has no tag: expected a token, a tab or space, and a tag"
    if text == "":
        return None, f"no token before the tag {tag!r}"
    if len(columns) != width:
        return None, f"{len(columns)} columns, where other lines have {width}"
    if tag == OUTSIDE:
        return Token(number, text, OUTSIDE, ""), ""
    match = TAG.fullmatch(tag)
    if match is None:
        spaced = ", and no white space in it" if len(tag.split()) > 1 else ""
        return None, f"{tag!r} is no tag: expected O, or B, I, M, E, S, L or U, '-' and a type{spaced}"
    return Token(number, text, CANONICAL.get(match[1], match[1]), match[2]), ""


def _is_tag(column: str) -> bool:
    return column == OUTSIDE or TAG.fullmatch(column) is not None


def _refuse_lines_of_tags(path: Path, lines: list[Line]) -> None:
    """Refuse a file that gives each line of text a line of tags, one a character."""
    tagged = [(columns[0], [tag for column in columns[1:] for tag in column.split()]) for _, columns in lines]
    one_each = all(len(text) == len(tags) and all(map(_is_tag, tags)) for text, tags in tagged)
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


def _scheme_of(sentences: list[list[Token]]) -> Scheme:
    counts: Counter[str] = Counter()
    for tokens in sentences:
        previous = ""
        for token in tokens:
            counts[token.position] += 1
            counts["begun by I"] += token.position == "I" and token.type != previous
            previous = token.type
    if counts["E"] or counts["S"]:
        return Scheme.BIOES
    return Scheme.BIO if counts["begun by I"] > counts["B"] else Scheme.BIO2


def _joined(tokens: list[Token], joiner: str) -> tuple[str, list[int]]:
    starts, length = [], 0
    for token in tokens:
        starts.append(length)
        length += len(token.text) + len(joiner)
    return joiner.join(token.text for token in tokens), starts


def _spans_bio(tokens: list[Token], starts: list[int], scheme: Scheme) -> tuple[list[GoldSpan], list[tuple[int, str]]]:
    spans: list[GoldSpan] = []
    broken = []
    open_type, begin, end = "", 0, 0
    for token, start in zip(tokens, starts, strict=True):
        goes_on = token.position == "I" and token.type == open_type
        if open_type and not goes_on:
            spans.append(GoldSpan(begin, end, open_type))
        if token.position == "I" and not goes_on and scheme is Scheme.BIO2:
            before = f"an entity of type {open_type}" if open_type else "no entity"
            broken.append((token.line, f"I-{token.type} follows {before}; an entity begins with B-{token.type}"))
        if not goes_on:
            open_type, begin = token.type, start
        end = start + len(token.text)
    if open_type:
        spans.append(GoldSpan(begin, end, open_type))
    return spans, broken


def _spans_bioes(tokens: list[Token], starts: list[int], _: Scheme) -> tuple[list[GoldSpan], list[tuple[int, str]]]:
    spans: list[GoldSpan] = []
    broken = []
    open_type, begin, opened_at = "", 0, 0
    for token, start in zip(tokens, starts, strict=True):
        goes_on = token.position in "IE" and token.type == open_type
        if open_type and not goes_on:
            broken.append((opened_at, f"the entity of type {open_type} that begins here has no end (E-{open_type})"))
            open_type = ""
        elif not open_type and token.position in "IE":
            broken.append((token.line, f"{token.position}-{token.type} without a B-{token.type} before it"))
        if token.position == "B":
            open_type, begin, opened_at = token.type, start, token.line
        elif token.position == "S":
            spans.append(GoldSpan(start, start + len(token.text), token.type))
        elif token.position == "E" and goes_on:
            spans.append(GoldSpan(begin, start + len(token.text), token.type))
            open_type = ""
    if open_type:
        broken.append((opened_at, f"the entity of type {open_type} that begins here has no end (E-{open_type})"))
    return spans, broken
