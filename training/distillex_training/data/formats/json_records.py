"""JSON values of a file with their lines: one a line, the elements of one array, or one value of several lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from distillex_training.data.formats.reading import Reading, Source
from distillex_training.data.records import Problem, lines_of

LOOKED_AT = 1000
SHOWN = 30
NOT_READ = "; the rest of the file was not read"


def json_objects(reading: Reading, content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a file; what is none becomes a problem."""
    for line, value in json_values(reading, content):
        if isinstance(value, dict):
            yield line, value
        else:
            reading.refuse(line, f"expected a JSON object, found {type(value).__name__}")


def json_values(reading: Reading, content: str) -> Iterator[tuple[int, Any]]:
    """Yield the values of a file with the line on which each begins; what is not JSON becomes a problem.

    An array is that of the values where it is all of the file, not where each line is one.
    """
    number, line = next(((number, line) for number, line in lines_of(content) if line.strip()), (1, ""))
    first = _parsed(line)
    rest = content.split("\n", number)[number:]
    if (
        isinstance(first, list)
        and not any(map(str.strip, rest))
        and all(isinstance(each, dict | list) for each in first)
    ):
        # One line that is an array: of values, or a single value that is one (a text and what is known of it).
        yield from json_array(reading, content)
    elif first is not None:
        yield from json_lines(reading, content)
    elif line.lstrip().startswith("["):
        yield from json_array(reading, content)
    elif (value := _parsed(content)) is not None:
        yield number, value
    else:
        yield from json_lines(reading, content)


def first_values(source: Source) -> list[Any]:
    """Return the first values of a file, whatever stands between them."""
    return [value for _, value in islice(json_values(Reading(source.path), source.text), LOOKED_AT)]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def json_lines(reading: Reading, text: str) -> Iterator[tuple[int, Any]]:
    """Yield the value of each line of a text; a line that is none becomes a problem."""
    for number, line in lines_of(text):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            reading.refuse(number, f"not JSON: {error}")


def json_array(reading: Reading, content: str) -> Iterator[tuple[int, Any]]:
    """Yield the elements of a JSON array with the line on which each begins.

    An element that is not JSON ends the reading: where the next one begins cannot be told; that is a problem as well.
    So does a missing comma, and what follows the array is not read either.
    """
    decoder = json.JSONDecoder()
    position = _skip(content, content.index("[") + 1 if "[" in content else 0)
    line, counted = 1, 0
    while position < len(content) and content[position] != "]":
        line, counted = line + content.count("\n", counted, position), position
        try:
            element, position = decoder.raw_decode(content, position)
        except (ValueError, RecursionError) as error:
            reading.refuse(line, f"not JSON: {error}{NOT_READ}")
            return
        yield line, element
        position = _skip(content, position)
        found = content[position : position + 1]
        if found == ",":
            position = _skip(content, position + 1)
        elif found and found != "]":
            line = content.count("\n", 0, position) + 1
            reading.refuse(line, f"a comma or ] is missing before {_shown(content, position)}{NOT_READ}")
            return
    if position >= len(content):
        last = content.count("\n") + 1
        reading.problems.append(Problem(reading.path, last, "the JSON array is not closed: the file is cut off"))
        return
    position = _skip(content, position + 1)
    if content[position:].strip():
        line = content.count("\n", 0, position) + 1
        reading.refuse(line, f"{_shown(content, position)} follows the end of the JSON array{NOT_READ}")


def _shown(content: str, position: int) -> str:
    return repr(content[position : position + SHOWN].split("\n")[0])


def _skip(content: str, position: int) -> int:
    while position < len(content) and content[position] in " \t\r\n":
        position += 1
    return position
