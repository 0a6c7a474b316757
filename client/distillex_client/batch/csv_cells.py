"""CSV for spreadsheets: cells that would run as formulas, and encodings."""

from __future__ import annotations

import enum
import re

# What makes a cell a formula for a spreadsheet (OWASP, "CSV injection"), also in full width, as Chinese keyboards give.
FORMULA_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
NUMBER = re.compile(r"[+-](\d[\d,]*(\.\d*)?|\.\d+)(e[+-]?\d+)?%?", re.ASCII | re.IGNORECASE)


class CsvFormulas(str, enum.Enum):
    """What becomes of cells that a spreadsheet would take for formulas."""

    NEUTRALIZE = "neutralize"
    KEEP = "keep"


class OutputEncoding(str, enum.Enum):
    """Encodings of CSV, in which every character can be written."""

    UTF_8 = "utf-8"
    UTF_8_SIG = "utf-8-sig"
    """With a byte order mark at the start, by which Excel knows UTF-8."""
    GB18030 = "gb18030"


def neutralized(cell: str) -> str:
    """Return a cell that no spreadsheet runs: one that begins as a formula does, and is no number, gets ``'`` first.

    Examples
    --------
    >>> [neutralized(cell) for cell in ("=1+1", "-5", "+86 10", "张伟")]
    ["'=1+1", '-5', "'+86 10", '张伟']
    """
    if cell.startswith(FORMULA_BEGINNINGS) and not NUMBER.fullmatch(cell):
        return "'" + cell
    return cell
