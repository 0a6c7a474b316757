"""The text log of commands: a record a line where nobody looks on, in colours on a terminal."""

import io
import logging
import re
import sys

from distillex.command.text_log import OneLine, text_handler
from rich.console import Console


def test_a_record_is_one_line_with_its_date_and_a_traceback_stays_below():
    text = "a list of\n  two lines, " + 30 * "no wrapping "
    record = logging.LogRecord("distillex.training", logging.INFO, "", 0, "%s", (text,), None)
    line = OneLine().format(record)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO a list of   two lines, (no wrapping )+", line)
    try:
        raise ValueError("bad")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert OneLine().format(record).splitlines()[1] == "Traceback (most recent call last):"


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self):
        return True


def test_a_line_is_whole_in_a_file_and_coloured_on_a_terminal():
    long = " ".join(["word"] * 40)
    record = logging.LogRecord("distillex.serve", logging.INFO, "", 0, long, (), None)
    file, terminal = io.StringIO(), Terminal()
    text_handler(Console(file=file)).emit(record)
    text_handler(Console(file=terminal, width=60, force_terminal=True, color_system="standard")).emit(record)
    (line,) = file.getvalue().splitlines()
    assert line.endswith(f"INFO {long}")
    assert len(terminal.getvalue().splitlines()) > 2
    assert "\x1b[" in terminal.getvalue()
