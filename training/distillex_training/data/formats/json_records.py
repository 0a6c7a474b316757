"""JSON objects of a file with their lines: one a line, or the elements of one array."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from distillex_training.data.formats.reading import Reading
from distillex_training.data.records import Problem, lines_of


def json_lines(reading: Reading, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the object of each line of a text; a line that is none becomes a problem."""
    for number, line in lines_of(text):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            reading.refuse(number, f"not JSON: {error}")
            continue
        if isinstance(record, dict):
            yield number, record
        else:
            reading.refuse(number, f"expected a JSON object, found {type(record).__name__}")


def json_array(reading: Reading, content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the elements of a JSON array with the line on which each begins.

    An element that is not JSON ends the reading: where the next one begins cannot be told; that is a problem as well.
    """
    decoder = json.JSONDecoder()
    position = _skip(content, content.index("[") + 1 if "[" in content else 0)
    line, counted = 1, 0
    while position < len(content) and content[position] != "]":
        line, counted = line + content.count("\n", counted, position), position
        try:
            element, position = decoder.raw_decode(content, position)
        except (ValueError, RecursionError) as error:
            reading.refuse(line, f"not JSON: {error}; the rest of the file was not read")
            return
        if isinstance(element, dict):
            yield line, element
        else:
            reading.refuse(line, f"expected a JSON object, found {type(element).__name__}")
        position = _skip(content, position)
        if content[position : position + 1] == ",":
            position = _skip(content, position + 1)
        elif content[position : position + 1] != "]":
            break
    if content[position : position + 1] != "]":
        last = content.count("\n") + 1
        reading.problems.append(Problem(reading.path, last, "the JSON array is not closed: the file is cut off"))


def _skip(content: str, position: int) -> int:
    while position < len(content) and content[position] in " \t\r\n":
        position += 1
    return position
