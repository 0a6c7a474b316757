"""CoNLL-style columns: one token and its tag a line, a blank line between sentences; BIO, BIO2, BIOES (BILOU), BMES."""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distillex_training.data.formats.reading import Reading
from distillex_training.data.records import GoldSpan, Problem, read_lines

TAG = re.compile(r"([BIMESLU])[-_](.+)")
OUTSIDE = "O"
DOCUMENT_START = "-DOCSTART-"
CANONICAL = {"M": "I", "L": "E", "U": "S"}
"""BMES and BILOU name the same four positions with other letters."""


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


def read_columns(path: Path, scheme: Scheme = Scheme.AUTO, joiner: str = "") -> Reading:
    """Read a file of columns; the token is the first column, the tag the last, separated by tabs or else spaces.

    Parameters
    ----------
    path
        The file.
    scheme
        ``AUTO`` looks at the tags: E, S, M, L or U mean BIOES; else BIO2, unless most entities begin with I.
    joiner
        What stands between two tokens in the text: nothing for characters, a space for words.
    """
    lines, problems = read_lines(path)
    reading = Reading(path, problems=problems, refused=len(problems))
    sentences = list(_sentences(lines, reading))
    chosen = _scheme_of([tokens for tokens, _ in sentences]) if scheme is Scheme.AUTO else scheme
    for tokens, reasons in sentences:
        if reasons:
            for line, reason in reasons:
                reading.problems += _problem(reading, line, reason)
            reading.refused += 1
            continue
        text, starts = _joined(tokens, joiner)
        spans, broken = (_spans_bioes if chosen is Scheme.BIOES else _spans_bio)(tokens, starts, chosen)
        if broken:
            for line, reason in broken:
                reading.problems += _problem(reading, line, reason)
            reading.refused += 1
        else:
            reading.add(tokens[0].line, text, [(span, None) for span in spans])
    return reading


def _problem(reading: Reading, line: int, reason: str) -> list[Problem]:
    return [Problem(reading.path, line, reason)]


def _sentences(lines: list[tuple[int, str]], reading: Reading) -> Iterator[tuple[list[Token], list[tuple[int, str]]]]:
    tokens: list[Token] = []
    reasons: list[tuple[int, str]] = []
    separators = 0
    for number, line in [*lines, (0, "")]:
        if line.startswith(DOCUMENT_START):
            separators += 1
            line = ""
        if line.strip(" \t"):
            token, reason = _token(number, line)
            if token is not None:
                tokens.append(token)
            else:
                reasons.append((number, reason))
        elif tokens or reasons:
            yield tokens, reasons
            tokens, reasons = [], []
    if separators:
        reading.notes.append(f"{reading.path}: {separators} document separators ({DOCUMENT_START}) passed over")


def _token(number: int, line: str) -> tuple[Token | None, str]:
    columns = line.split("\t") if "\t" in line else line.split(" ")
    columns = [columns[0], *(column for column in columns[1:] if column.strip())]
    text, tag = columns[0], columns[-1].strip()
    if text == "" and "\t" not in line:
        text = " "  # a space as token, separated by a space
    if len(columns) < 2:
        return None, f"{line!r} has no tag: expected a token, a tab or space, and a tag"
    if text == "":
        return None, f"{line!r} has no token before its tag"
    if tag == OUTSIDE:
        return Token(number, text, OUTSIDE, ""), ""
    match = TAG.fullmatch(tag)
    if match is None:
        return None, f"{tag!r} is no tag: expected O, or B, I, M, E, S, L or U, '-' and a type"
    return Token(number, text, CANONICAL.get(match[1], match[1]), match[2]), ""


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
