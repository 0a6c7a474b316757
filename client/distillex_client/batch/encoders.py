"""The bytes of one extracted record: a JSON line, a CSV row, a page, a table for the terminal."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from distillex_client.batch.csv_cells import CsvFormulas, OutputEncoding, neutralized
from distillex_client.batch.plain_json import to_json
from distillex_client.batch.records import Extracted
from distillex_client.entity import Entity
from distillex_client.errors import WrongUse
from distillex_client.printable import printable
from distillex_client.render import render, render_terminal


class Encoder(Protocol):
    """Bytes of one result; may remember something between results, such as a header."""

    def encode(self, result: Extracted) -> bytes:
        """Return the bytes; raises ValueError with the reason where this format cannot hold the record."""

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs to go on from here."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned."""


def entity_fields(entity: Entity) -> dict[str, Any]:
    """Return the fields of an entity, in the order in which they are written."""
    return {"start": entity.start, "end": entity.end, "type": entity.type, "text": entity.text, "score": entity.score}


class JsonLines:
    """A JSON object a line: the record's fields, then its entities."""

    def __init__(self, entities_field: str) -> None:
        self._entities_field = entities_field

    def encode(self, result: Extracted) -> bytes:
        """Return the line."""
        value = {**result.record.fields, self._entities_field: [entity_fields(entity) for entity in result.entities]}
        line = to_json(value) + "\n"
        try:
            return line.encode()
        except UnicodeEncodeError:
            # A lone surrogate in another field can be written as the escape that it was.
            return (json.dumps(json.loads(line)) + "\n").encode()

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


class Csv:
    """A row a record: the columns of the first record, then the entities as JSON."""

    def __init__(
        self,
        entities_field: str,
        encoding: OutputEncoding = OutputEncoding.UTF_8,
        formulas: CsvFormulas = CsvFormulas.NEUTRALIZE,
    ) -> None:
        self._entities_field = entities_field
        self._encoding = encoding
        self._safe = neutralized if formulas is CsvFormulas.NEUTRALIZE else str
        self._columns: list[str] | None = None

    def encode(self, result: Extracted) -> bytes:
        """Return the row, the first time with the header before it."""
        fields = result.record.fields
        rows: list[list[str]] = []
        columns = self._columns
        if columns is None:
            columns = list(fields)
            rows.append([self._safe(name) for name in (*columns, self._entities_field)])
        unknown = next((name for name in fields if name not in columns), None)
        if unknown is not None:
            raise ValueError(f"field {unknown!r} is not among those of the first record, which are the columns")
        found = to_json([entity_fields(entity) for entity in result.entities])
        rows.append([*(self._cell(fields.get(name)) for name in columns), found])
        # The byte order mark stands at the start of the file, which is before the header.
        encoding = (
            "utf-8" if self._columns is not None and self._encoding is OutputEncoding.UTF_8_SIG else self._encoding
        )
        try:
            content = "".join(map(_row, rows)).encode(encoding)
        except UnicodeEncodeError:
            raise ValueError("a field holds a lone surrogate, which is no character") from None
        self._columns = columns
        return content

    def state(self) -> dict[str, Any]:
        """Return the columns."""
        return {"columns": self._columns}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the columns over, so that the header is not written twice."""
        self._columns = state["columns"]

    def _cell(self, value: Any) -> str:
        if value is None:
            return ""
        return self._safe(value) if isinstance(value, str) else to_json(value)


class HtmlPage:
    """One page with the entities highlighted; of one document, because pages do not concatenate."""

    def __init__(self) -> None:
        self._written = False

    def encode(self, result: Extracted) -> bytes:
        """Return the page."""
        if self._written:
            raise WrongUse(
                f"{result.record.place} is a second document, and an HTML page holds one: "
                "--output DIRECTORY/ writes a page for each"
            )
        self._written = True
        return html_page(result)

    def state(self) -> dict[str, Any]:
        """Tell whether there is a page."""
        return {"written": self._written}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take it over."""
        self._written = state["written"]


class TerminalTable:
    """The text in colour and a table of its entities, for people."""

    def encode(self, result: Extracted) -> bytes:
        """Return what the terminal shows."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console(file=io.StringIO(), force_terminal=os.isatty(1), width=None if os.isatty(1) else 100)
        table = Table("start", "end", "type", "text", "score", title=Text(printable(result.record.place)))
        for entity in result.entities:
            # As Text: rich would obey what looks like its markup.
            kind, text = Text(printable(entity.type)), Text(printable(entity.text))
            table.add_row(str(entity.start), str(entity.end), kind, text, f"{entity.score:.3f}")
        with console.capture() as captured:
            console.print(render_terminal(result.record.text, result.entities))
            console.print(table)
        return captured.get().encode()

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


def html_page(result: Extracted) -> bytes:
    """Return the page of one document."""
    return render(result.record.text, result.entities, title=result.record.place).encode()


def _row(cells: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    # Of the characters that end lines elsewhere, Python before 3.13 quotes only those of its own line's end.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"
