"""What all readers share: the result of reading, and the check that every record passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from distillex_training.data.records import GoldSpan, Problem, Record, span_problems, text_problems


@dataclass
class Reading:
    """What a reader found in a file: every record of it is in ``records``, or named in ``problems``."""

    path: Path
    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refused: int = 0
    """Records with problems; they are not in ``records``."""
    notes: list[str] = field(default_factory=list)
    """What was passed over because it is no entity: relations, document separators."""

    def add(
        self, line: int, text: str, labelled: list[tuple[GoldSpan, str | None]], reasons: list[str] | None = None
    ) -> None:
        """Take a record whose spans come with the surface that the file gives for them (None: it gives none).

        A record with any problem is refused whole: a text whose labels are partly wrong would teach the rest as
        "no entity".
        """
        reasons = list(reasons or []) + text_problems(text)
        spans = [span for span, _ in labelled]
        misplaced = span_problems(text, spans)
        reasons += misplaced
        if not misplaced:
            reasons += [
                f"the span [{span.start}, {span.end}) {span.type} is {text[span.start : span.end]!r}, not {surface!r}"
                for span, surface in labelled
                if surface is not None and text[span.start : span.end] != surface
            ]
        if reasons:
            self.refuse(line, *reasons)
        else:
            self.records.append(Record(self.path, line, text, tuple(sorted(spans))))

    def refuse(self, line: int, *reasons: str) -> None:
        """Count a record that cannot be taken, and say why."""
        self.refused += 1
        self.problems += [Problem(self.path, line, reason) for reason in reasons]
