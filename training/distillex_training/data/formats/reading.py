"""What all readers share: the file, the result of reading it, and the check that every record passes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from distillex_training.data.formats.offsets import UTF_16, Count, converted, count_of, has_surface, is_counted_twice
from distillex_training.data.formats.options import Offsets, ReadingOptions
from distillex_training.data.records import (
    GoldSpan,
    Problem,
    Record,
    bytes_of,
    is_name,
    read_text,
    span_problems,
    text_problems,
)

Labelled = tuple[GoldSpan, "str | None"]
"""A span, and the surface that the file gives for it (None: it gives none)."""


@dataclass(frozen=True)
class Source:
    """A file to read (or a folder, for a format that is one)."""

    path: Path
    options: ReadingOptions = field(default_factory=ReadingOptions)

    @cached_property
    def content(self) -> bytes:
        """All bytes.

        Raises
        ------
        DataError
            For a file that cannot be read.
        """
        return bytes_of(self.path)

    @cached_property
    def text(self) -> str:
        """The text, a byte order mark and carriage returns left out.

        Raises
        ------
        DataError
            For a byte that is not of the encoding.
        """
        return read_text(self.path, self.options.encoding, self.content)


@dataclass
class Reading:
    """What a reader found in a file: every record of it is in ``records``, or named in ``problems``."""

    path: Path
    options: ReadingOptions = field(default_factory=ReadingOptions)
    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refused: int = 0
    """Records with problems; they are not in ``records``."""
    notes: list[str] = field(default_factory=list)
    """What was passed over because it is no entity (relations, document separators), and what was put right."""
    _repaired: Counter[str] = field(default_factory=Counter)
    _doubtful: int = 0

    def add(self, line: int, text: str, labelled: list[Labelled], reasons: list[str] | None = None) -> None:
        """Take a record.

        A record with any problem is refused whole: a text whose labels are partly wrong would teach the rest as
        "no entity".
        """
        reasons = list(reasons or []) + text_problems(text)
        placed, unplaced = self._placed(text, labelled)
        spans = [span for span, _ in placed]
        misplaced = span_problems(text, spans)
        if misplaced and self._would_fit_utf_16(text, spans):
            misplaced[-1] += "; counted in UTF-16 units it would: --offsets utf-16"
        reasons += unplaced + misplaced
        if not unplaced and not misplaced:
            reasons += [
                f"the span [{span.start}, {span.end}) {span.type} is {text[span.start : span.end]!r}, not {surface!r}"
                for span, surface in placed
                if surface is not None and not has_surface(text, span.start, span.end, surface)
            ]
        reasons += [f"{span.type!r} is no name of a type" for span in spans if not is_name(span.type)]
        if reasons:
            self.refuse(line, *reasons)
            return
        if self.options.offsets is Offsets.AUTO and is_counted_twice(text):
            self._doubtful += placed == labelled and any(surface is None for _, surface in labelled)
        self.records.append(Record(self.path, line, text, tuple(sorted(spans))))

    def refuse(self, line: int, *reasons: str) -> None:
        """Count a record that cannot be taken, and say why."""
        self.refused += 1
        self.problems += [Problem(self.path, line, reason) for reason in reasons]

    def finish(self, *, counts_tokens: bool = False) -> Reading:
        """Note what was put right; ``counts_tokens``: spans were made of tokens, so that no count is in doubt."""
        for how, count in self._repaired.items():
            self.notes.append(
                f"{self.path}: {count} spans were counted {how}; put right by the surfaces given for them"
            )
        if self._doubtful and not counts_tokens:
            self.notes.append(
                f"{self.path}: {self._doubtful} labelled texts hold characters such as emoji, which some tools count "
                "as two, and no surface to check spans by; taken as code points (--offsets code-points, or utf-16)"
            )
        return self

    def _placed(self, text: str, labelled: list[Labelled]) -> tuple[list[Labelled], list[str]]:
        """Return spans in code points, and what is wrong with those that no such span is."""
        if self.options.offsets is Offsets.CODE_POINTS:
            return labelled, []
        if self.options.offsets is Offsets.UTF_16:
            return _converted(text, labelled, UTF_16)
        count = count_of(text, [(span.start, span.end, surface) for span, surface in labelled])
        if count is None:
            return labelled, []
        placed, reasons = _converted(text, labelled, count)
        self._repaired[count.name] += len(set(placed) - set(labelled))
        return placed, reasons

    def _would_fit_utf_16(self, text: str, spans: list[GoldSpan]) -> bool:
        if self.options.offsets is Offsets.UTF_16 or not is_counted_twice(text):
            return False
        places = [converted(text, span.start, span.end, UTF_16) for span in spans]
        return all(place is not None and place[0] < place[1] for place in places)


def _converted(text: str, labelled: list[Labelled], count: Count) -> tuple[list[Labelled], list[str]]:
    spans: list[Labelled] = []
    reasons = []
    for span, surface in labelled:
        place = converted(text, span.start, span.end, count)
        if place is None:
            reasons.append(
                f"the span [{span.start}, {span.end}) {span.type} does not lie between characters of the text, "
                f"counted {count.name}"
            )
        else:
            spans.append((replace(span, start=place[0], end=place[1]), surface))
    return spans, reasons
