"""Text for a terminal: control characters are replaced by pictures."""

from __future__ import annotations

import os
import sys
from typing import IO, Any

LINE_LAYOUT = "\n\t"
"""What a text of several lines may hold."""
FILE_LAYOUT = LINE_LAYOUT + "\r"
"""What a file with line ends of any kind may hold, where nothing is steered by them."""

# Control characters have pictures of their own (␛); those of the second range, and halves of characters, have none.
_SHOWN = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_SHOWN |= dict.fromkeys((*range(0x80, 0xA0), *range(0xD800, 0xE000)), 0xFFFD)


def printable(text: str, *, keep: str = "") -> str:
    r"""Return a text of the same length that cannot steer a terminal and that can be written as UTF-8.

    Parameters
    ----------
    text
        Any text, such as a document, the name of a file, a server's message.
    keep
        Control characters to leave as they are.

    Examples
    --------
    >>> printable("a.txt\x1b[2J\n")
    'a.txt␛[2J␊'
    """
    shown = text.translate(_SHOWN)
    if not keep or shown == text:
        return shown
    return "".join(old if old in keep else new for old, new in zip(text, shown, strict=True))


def say(line: str) -> None:
    """Write a line to standard error, if there is one: that nobody can read it is no reason to stop."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(printable(line) + "\n")
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def discard(stream: IO[Any]) -> None:
    """Let a stream that cannot be written lead nowhere; else Python would complain when it flushes it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
