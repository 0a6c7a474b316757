"""Labelled records as they stand in a JSON Lines file: each with its line, each checked, nothing changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from distillex_training.errors import DataError

UTF_8 = "utf-8"
HAN = re.compile("[\u4e00-\u9fff]")
FOREIGN_KEYS = frozenset(
    (
        "label",
        "labels",
        "annotations",
        "completions",
        "spans",
        "ner",
        "ner_tags",
        "tags",
        "tokens",
        "result_list",
        "result",
        "ents",
        "paragraphs",
        "tokenized_text",
    )
)
"""Where other tools' files keep their labels."""


@dataclass(frozen=True, order=True)
class GoldSpan:
    """One labelled entity; offsets are code points, end-exclusive."""

    start: int
    end: int
    type: str
    also: tuple[str, ...] = ()
    """Further types that it may have instead: any of them counts as right."""
    score: float = field(default=1.0, compare=False)
    """How sure who labelled it was; read of ``distillation.labels``."""

    @property
    def types(self) -> tuple[str, ...]:
        """All types that it may have."""
        return self.type, *self.also


def overlaps(spans: Iterable[GoldSpan]) -> bool:
    """Tell whether some of the spans overlap, in whatever order they are."""
    return any(before.end > after.start for before, after in pairwise(sorted(spans)))


@dataclass(frozen=True, order=True)
class OpenSpan:
    """A stretch of text of which a labelling does not say whether entities of some types are in it."""

    start: int
    end: int
    types: tuple[str, ...]


@dataclass(frozen=True)
class Problem:
    """What is wrong with one line of a file."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


@dataclass(frozen=True)
class Record:
    """One labelled text; spans as they were given, overlaps and repeats included."""

    path: Path
    line: int
    text: str
    spans: tuple[GoldSpan, ...]
    open: tuple[OpenSpan, ...] = ()
    weight: float = 1.0
    """Of its loss in training."""
    domain: str = ""
    """What kind of text it is, by which it may be measured."""

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{self.path}:{self.line}"

    def json_line(self) -> str:
        """Return the record as one line of our format."""
        entities = [
            {"start": s.start, "end": s.end, "type": s.type}
            | ({"also": list(s.also)} if s.also else {})
            | ({"score": s.score} if s.score != 1.0 else {})
            for s in self.spans
        ]
        record: dict[str, Any] = {"text": self.text, "entities": entities}
        if self.open:
            record["open"] = [{"start": s.start, "end": s.end, "types": list(s.types)} for s in self.open]
        if self.weight != 1.0:
            record["weight"] = self.weight
        if self.domain:
            record["domain"] = self.domain
        return json.dumps(record, ensure_ascii=False) + "\n"


@dataclass
class RecordFile:
    """All records of a file, and all its problems."""

    path: Path
    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    blank_lines: int = 0
    types: set[str] = field(default_factory=set)
    """Every type that is named in it, in records with problems too."""


def text_problems(text: str) -> list[str]:
    """Tell why a text cannot be used: empty, or a character that the matcher refuses."""
    if not text.strip():
        return ["the text is empty"]
    problems = []
    if "\0" in text:
        problems.append(f"the text holds a NUL character at position {text.index(chr(0))}")
    position = next((i for i, character in enumerate(text) if "\ud800" <= character <= "\udfff"), None)
    if position is not None:
        problems.append(f"the text holds a lone surrogate at position {position}")
    return problems


def span_problems(
    text: str, spans: Iterable[GoldSpan | OpenSpan], entity_types: Sequence[str] | None = None
) -> list[str]:
    """Tell which spans do not fit their text or bear an unknown type; None accepts all types."""
    problems = []
    for span in spans:
        named = ", ".join(map(repr, span.types))
        if not 0 <= span.start < span.end <= len(text):
            problems.append(
                f"the span [{span.start}, {span.end}) does not lie in a text of {len(text)} code points, {named}"
            )
        if entity_types is not None:
            problems += [
                f"unknown type {kind!r}; known types: {', '.join(entity_types)}"
                for kind in span.types
                if kind not in entity_types
            ]
    return problems


def read_text(path: Path, encoding: str = UTF_8, content: bytes | None = None) -> str:
    """Read a whole file, a byte order mark and carriage returns left out; ``content``: its bytes, where they were read.

    Raises
    ------
    DataError
        For a file that cannot be read, or that holds a byte which is not of the encoding.
    """
    text = decoded(path, encoding, bytes_of(path) if content is None else content)
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def decoded(path: Path, encoding: str, content: bytes) -> str:
    """Return the text of a file's bytes as it stands.

    Raises
    ------
    DataError
        For a byte that is not of the encoding.
    """
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not {encoding} (byte {error.start} of the file){_hint(content)}") from None
    except LookupError as error:
        raise DataError(f"{error}; such as utf-8, gb18030, big5, utf-16 are known") from None
    if text != (plain := _chinese_utf_8(content)) and plain:
        raise DataError(f"{path}: UTF-8 as it stands; read as {encoding} it would be other text: leave --encoding out")
    return text


def lines_of(text: str) -> list[tuple[int, str]]:
    """Return the lines of a text with their numbers."""
    return list(enumerate(text.removesuffix("\n").split("\n"), start=1))


def _chinese_utf_8(content: bytes) -> str:
    """Return the text of bytes that are Chinese in UTF-8, which those of another encoding are not by chance."""
    try:
        text = content.decode(UTF_8)
    except UnicodeDecodeError:
        return ""
    return text if HAN.search(text) else ""


def _hint(content: bytes) -> str:
    encodings = ("utf-16",) if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ("gb18030",)
    for encoding in encodings:
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return f"; it could be {encoding}: --encoding {encoding}"
    return ""


def bytes_of(path: Path) -> bytes:
    """Read a file.

    Raises
    ------
    DataError
        Where it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def read_lines(path: Path) -> tuple[list[tuple[int, str]], list[Problem]]:
    """Read a UTF-8 file's lines with their numbers; a line that is not UTF-8 is a problem.

    Raises
    ------
    DataError
        For a file that cannot be read.
    """
    lines: list[tuple[int, str]] = []
    problems: list[Problem] = []
    for number, line in enumerate(bytes_of(path).removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            lines.append((number, line.decode("utf-8").removesuffix("\r")))
        except UnicodeDecodeError as error:
            problems.append(Problem(path, number, f"not UTF-8 (byte {error.start})"))
    if lines and lines[-1][1] == "":
        lines.pop()
    return lines, problems


def read_records(
    path: Path, entity_types: Sequence[str] | None = None, *, text: str | None = None, labelled: bool = True
) -> RecordFile:
    """Read a labelled JSON Lines file without stopping at its problems.

    Parameters
    ----------
    path
        The file.
    entity_types
        Accepted types; None accepts all.
    text
        Its content, where it has been read already.
    labelled
        Whether each record has to say what its entities are; its texts alone can be read without.

    Raises
    ------
    DataError
        For a file that cannot be read.
    """
    lines, problems = read_lines(path) if text is None else (lines_of(text), [])
    file = RecordFile(path, problems=problems)
    for number, line in lines:
        if not line.strip():
            file.blank_lines += 1
            continue
        if labelled and not file.records and not file.types and (foreign := _foreign(line, first=not file.problems)):
            reason = f"{foreign}: the file is not in this format; 'distillex data convert' makes a training file of it"
            file.problems.append(Problem(path, number, reason))
            break
        parsed = _parse(line, labelled)
        file.types.update(kind for span in parsed.spans for kind in span.types)
        reasons = [*parsed.reasons, *span_problems(parsed.text, (*parsed.spans, *parsed.open), entity_types)]
        file.problems += [Problem(path, number, reason) for reason in reasons]
        if not reasons:
            spans, open_spans = tuple(parsed.spans), tuple(parsed.open)
            file.records.append(Record(path, number, parsed.text, spans, open_spans, parsed.weight, parsed.domain))
    file.problems.sort(key=lambda problem: problem.line)
    return file


def _foreign(line: str, *, first: bool) -> str:
    """Say how a file's first record is not one of ours but of another tool; empty where it is, or is nothing known."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error})" if first and (line.lstrip()[:1] != "{" or line.strip() == "{") else ""
    if first and isinstance(record, list) and any(isinstance(each, dict | list) for each in record):
        return "an array, not an object a line"
    if not isinstance(record, dict) or "entities" in record:
        return ""
    keys = [key for key in record if key in FOREIGN_KEYS]
    return f'no "entities", but {", ".join(map(repr, keys))}' if keys else ""


@dataclass
class _Parsed:
    text: str = ""
    spans: list[GoldSpan] = field(default_factory=list)
    open: list[OpenSpan] = field(default_factory=list)
    weight: float = 1.0
    domain: str = ""
    reasons: list[str] = field(default_factory=list)


def _parse(line: str, labelled: bool) -> _Parsed:
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _Parsed(reasons=[f"not JSON: {error}"])
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        return _Parsed(reasons=['expected an object with a string "text"'])
    parsed = _Parsed(record["text"], reasons=text_problems(record["text"]))
    if labelled and "entities" not in record:
        parsed.reasons.append('no "entities": a text without any has []')
        return parsed
    parsed.domain = record["domain"] if isinstance(record.get("domain"), str) else ""
    entities, open_spans, weight = record.get("entities", []), record.get("open", []), record.get("weight", 1.0)
    if not isinstance(entities, list):
        parsed.reasons.append('"entities" must be a list')
        return parsed
    for entity in entities:
        span = _span(entity)
        if span is None:
            parsed.reasons.append(
                f"{entity!r} is not an entity with start, end (whole numbers) and type (a name); "
                '"also", where it is there, is a list of names'
            )
        else:
            parsed.spans.append(span)
            parsed.reasons += _disagreement(parsed.text, span, entity.get("text"))
    for each in open_spans if isinstance(open_spans, list) else [open_spans]:
        stretch = _open_span(each)
        if stretch is None:
            parsed.reasons.append(
                f'"open": {each!r} is not a stretch with start, end (whole numbers) and types (names)'
            )
        else:
            parsed.open.append(stretch)
    if type(weight) not in (int, float) or not 0 <= weight < float("inf"):
        parsed.reasons.append(f'"weight" is {weight!r}; a number of at least 0 is accepted')
    else:
        parsed.weight = float(weight)
    return parsed


def _span(entity: Any) -> GoldSpan | None:
    if not isinstance(entity, dict):
        return None
    start, end, kind, also = entity.get("start"), entity.get("end"), entity.get("type"), entity.get("also", [])
    if type(start) is not int or type(end) is not int:
        return None
    if not isinstance(kind, str) or not are_names([kind]) or not are_names(also):
        return None
    score = entity.get("score", 1.0)
    if type(score) not in (int, float) or not 0 <= score <= 1:
        score = 1.0  # people's files may keep anything under that name; label sources are checked for it
    return GoldSpan(start, end, kind, tuple(dict.fromkeys(each for each in also if each != kind)), float(score))


def _disagreement(text: str, span: GoldSpan, surface: Any) -> list[str]:
    """Say where a span is not what its entity says that it is; one outside the text is said elsewhere."""
    found = text[span.start : span.end]
    if not isinstance(surface, str) or found == surface or not 0 <= span.start < span.end <= len(text):
        return []
    return [f"the span [{span.start}, {span.end}) {span.type} is {found!r}, not {surface!r}"]


def _open_span(value: Any) -> OpenSpan | None:
    if not isinstance(value, dict):
        return None
    start, end, types = value.get("start"), value.get("end"), value.get("types")
    if type(start) is not int or type(end) is not int or not types or not are_names(types):
        return None
    return OpenSpan(start, end, tuple(dict.fromkeys(types)))


def are_names(value: Any) -> bool:
    """Tell whether a value is a list of names of types."""
    return isinstance(value, list) and all(isinstance(each, str) and is_name(each) for each in value)


def is_name(text: str) -> bool:
    """Tell whether a text can name a type."""
    return not text_problems(text)
