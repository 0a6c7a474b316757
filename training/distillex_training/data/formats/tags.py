"""Tokens with tags → spans, and spans → tags: BIO (IOB1), BIO2, BIOES, BMES, BILOU."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from distillex_training.data.formats.options import Scheme
from distillex_training.data.formats.reading import Reading
from distillex_training.data.records import GoldSpan, Problem

TAG = re.compile(r"([BIMESLU])[-_](\S+)")
OUTSIDE = "O"
ACCEPTED = "expected O, or B, I, M, E, S, L or U, '-' and a type"
CANONICAL = {"M": "I", "L": "E", "U": "S"}
"""BMES and BILOU name the same four positions with other letters."""
LETTERS = {
    Scheme.BIO2: ("B", "I", "I", "B"),
    Scheme.BIOES: ("B", "I", "E", "S"),
    Scheme.BMES: ("B", "M", "E", "S"),
    Scheme.BILOU: ("B", "I", "L", "U"),
}
"""First token of an entity, one within, last one, only one."""
Reason = tuple[int, str]
"""A line, and what is wrong there."""


@dataclass(frozen=True)
class Token:
    """A token and its tag."""

    line: int
    text: str
    position: str
    """B, I, E, S or O."""
    type: str
    name: str = ""
    """What a message calls it, where its line does not tell."""


@dataclass
class Tagged:
    """A text of tokens."""

    line: int
    tokens: list[Token] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    text: str = ""
    starts: list[int] = field(default_factory=list)
    """Of the tokens in the text."""

    def join(self, joiner: str) -> None:
        """Make the text of the tokens."""
        self.starts, length = [], 0
        for token in self.tokens:
            self.starts.append(length)
            length += len(token.text) + len(joiner)
        self.text = joiner.join(token.text for token in self.tokens)


def parse_tag(tag: str) -> tuple[str, str] | None:
    """Return position and type of a tag; None where it is none."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    match = TAG.fullmatch(tag)
    return None if match is None else (CANONICAL.get(match[1], match[1]), match[2])


def is_tag(value: object) -> bool:
    """Tell whether a value is a tag."""
    return isinstance(value, str) and parse_tag(value) is not None


def no_tag(tag: str) -> str:
    """Say that a tag is none."""
    return f"{tag!r} is no tag: {ACCEPTED}{', and no white space in it' if len(tag.split()) > 1 else ''}"


def tagged_row(line: int, words: Sequence[str], tags: Sequence[str]) -> Tagged:
    """Return a text whose tokens and tags stand in one record."""
    sentence = Tagged(line)
    if len(words) != len(tags):
        sentence.reasons.append((line, f"{len(words)} tokens, but {len(tags)} tags"))
        return sentence
    for number, (word, tag) in enumerate(zip(words, tags, strict=True)):
        parsed = parse_tag(tag)
        name = f"token {number} {word!r}: "
        if parsed is None:
            sentence.reasons.append((line, name + no_tag(tag)))
        elif word == "":
            sentence.reasons.append((line, f"token {number} is empty"))
        else:
            sentence.tokens.append(Token(line, word, *parsed, name))
    return sentence


def take(reading: Reading, sentences: Sequence[Tagged]) -> Reading:
    """Take sentences into a reading; those with a broken tag sequence are refused.

    Where the options say no scheme, the tags tell: E, S, M, L or U mean BIOES; else BIO2, unless most entities begin
    with I.
    """
    scheme = reading.options.scheme
    chosen = _scheme_of([sentence.tokens for sentence in sentences]) if scheme is Scheme.AUTO else scheme
    spans_of: Callable[[Tagged, Scheme], tuple[list[GoldSpan], list[Reason]]]
    spans_of = _spans_bioes if chosen.has_ends else _spans_bio
    unended = 0
    for sentence in sentences:
        reasons = sentence.reasons
        spans: list[GoldSpan] = []
        if not reasons:
            if not sentence.text:
                sentence.join(reading.options.joiner)
            spans, reasons = spans_of(sentence, chosen)
        if reasons:
            unended += sum("has no end" in reason for _, reason in reasons)
            reading.problems += [Problem(reading.path, line, reason) for line, reason in reasons]
            reading.refused += 1
        else:
            reading.add(sentence.line, sentence.text, [(span, None) for span in spans])
    if unended and scheme is Scheme.AUTO:
        reading.notes.append(
            f"{reading.path}: its tags have E, S, L or U and were read as BIOES, but {unended} entities have no end: "
            "where its sentences follow two schemes, part them and name each with --scheme"
        )
    return reading.finish(counts_tokens=True)


def tags_of(length: int, spans: Iterable[GoldSpan], scheme: Scheme) -> list[str]:
    """Return the tag of each character.

    Parameters
    ----------
    length
        Of the text in code points.
    spans
        Without overlaps.
    scheme
        One of :data:`LETTERS`.
    """
    first, within, last, only = LETTERS[scheme]
    tags = [OUTSIDE] * length
    for span in spans:
        letters = [first, *[within] * (span.end - span.start - 2), last] if span.end - span.start > 1 else [only]
        tags[span.start : span.end] = [f"{letter}-{span.type}" for letter in letters]
    return tags


def _scheme_of(sentences: Iterable[list[Token]]) -> Scheme:
    counts: Counter[str] = Counter()
    for tokens in sentences:
        previous = ""
        for token in tokens:
            counts[token.position] += 1
            counts["I first"] += token.position == "I" and token.type != previous
            previous = token.type
    if counts["E"] or counts["S"]:
        return Scheme.BIOES
    return Scheme.BIO if counts["I first"] > counts["B"] else Scheme.BIO2


def _spans_bio(sentence: Tagged, scheme: Scheme) -> tuple[list[GoldSpan], list[Reason]]:
    spans: list[GoldSpan] = []
    broken = []
    open_type, begin, end = "", 0, 0
    for token, start in zip(sentence.tokens, sentence.starts, strict=True):
        goes_on = token.position == "I" and token.type == open_type
        if open_type and not goes_on:
            spans.append(GoldSpan(begin, end, open_type))
        if token.position == "I" and not goes_on and scheme is Scheme.BIO2:
            before = f"an entity of type {open_type}" if open_type else "no entity"
            broken.append(
                (token.line, f"{token.name}I-{token.type} follows {before}; an entity begins with B-{token.type}")
            )
        if token.position in "ES":
            broken.append((token.line, f"{token.name}{token.position}-{token.type} is no tag of {scheme.value}"))
        if not goes_on:
            open_type, begin = token.type, start
        end = start + len(token.text)
    if open_type:
        spans.append(GoldSpan(begin, end, open_type))
    return spans, broken


def _spans_bioes(sentence: Tagged, _: Scheme) -> tuple[list[GoldSpan], list[Reason]]:
    spans: list[GoldSpan] = []
    broken = []
    opened: Token | None = None
    begin = 0
    for token, start in zip(sentence.tokens, sentence.starts, strict=True):
        goes_on = opened is not None and token.position in "IE" and token.type == opened.type
        if opened is not None and not goes_on:
            broken.append(_unended(opened, token))
            opened = None
        elif opened is None and token.position in "IE":
            broken.append((token.line, f"{token.name}{token.position}-{token.type} without a B-{token.type} before it"))
        if token.position == "B":
            opened, begin = token, start
        elif token.position == "S":
            spans.append(GoldSpan(start, start + len(token.text), token.type))
        elif token.position == "E" and goes_on:
            spans.append(GoldSpan(begin, start + len(token.text), token.type))
            opened = None
    if opened is not None:
        broken.append(_unended(opened, None))
    return spans, broken


def _unended(opened: Token, following: Token | None) -> Reason:
    then = ""
    if following is not None and following.position in "IE":
        then = f"; {following.name or f'line {following.line}: '}{following.position}-{following.type} is of another"
    return (
        opened.line,
        f"{opened.name}the entity of type {opened.type} that begins here has no end (E-{opened.type}){then}",
    )
