"""The log as text, or one JSON object a line: our own lines, and those that Triton and Envoy print."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from enum import Enum

LEVELS = {"E": "error", "W": "warning", "I": "info", "F": "critical"}
TRITON = re.compile(r"(?P<level>[EWIF])\d{4} [\d:.]+ \d+ (?P<place>\S+:\d+)\] ?(?P<message>.*)")
ENVOY = re.compile(r"\[[^\]]+\]\[\d+\]\[(?P<level>\w+)\]\[(?P<place>\w+)\] (?:\[[^\]]+\] )?(?P<message>.*)")
FAULT = re.compile(r"[EWF]\d{4} [\d:.]+ \d+ |\[[^\]]+\]\[\d+\]\[(error|critical)\]")
"""Of the warnings of Envoy, which it writes at each start and end, none is one."""


class LogFormat(str, Enum):
    """How a command says what it does."""

    TEXT = "text"
    JSON = "json"


def shown(
    source: str, log_format: LogFormat, *, verbose: bool, hides: re.Pattern[str] | None = None
) -> Callable[[str], None]:
    """Return what is done with each line that a process prints.

    Parameters
    ----------
    source
        Which process.
    log_format
        As text, lines are passed on as they are; without ``verbose`` those alone that tell of a fault. As JSON all are
        shown: without ``verbose`` the process itself is told to say no more than warnings.
    verbose
        Whether to show all.
    hides
        What is not worth a line without ``verbose``.
    """

    def show(line: str) -> None:
        if not line.strip() or (not verbose and hides is not None and hides.search(line)):
            return
        if log_format is LogFormat.JSON:
            _show_as_json(source, line.rstrip())
        elif verbose or FAULT.match(line):
            sys.stderr.write(line)

    return show


def _show_as_json(source: str, line: str) -> None:
    level, message, place = "info", line, None
    if found := TRITON.fullmatch(line) or ENVOY.fullmatch(line):
        place, message = found["place"], _unquoted(found["message"])
        level = LEVELS.get(found["level"], found["level"])
    if message:
        sys.stdout.write(_line(_time(), level, source, message, **({"place": place} if place else {})))
        sys.stdout.flush()


class JsonFormatter(logging.Formatter):
    """Of our own lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON object of a record."""
        exception = {"exception": self.formatException(record.exc_info)} if record.exc_info else {}
        time = _time(record.created)
        return _line(time, record.levelname.lower(), record.name, record.getMessage(), **exception).rstrip("\n")


def _time(seconds: float | None = None) -> str:
    moment = datetime.now(timezone.utc) if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(time: str, level: str, source: str, message: str, **more: str) -> str:
    fields = {"time": time, "level": level, "source": source, "message": message, **more}
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "backslashreplace").decode() + "\n"


def _unquoted(message: str) -> str:
    """Triton writes what a message holds as a JSON string."""
    if message.startswith('"'):
        try:
            return str(json.loads(message))
        except ValueError:
            pass
    return message
