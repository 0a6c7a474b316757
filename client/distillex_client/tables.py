"""Tables that commands print: as wide as the terminal, or uncut in a file or pipe."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

WIDEST = 1 << 16
"""Columns that no table needs."""


def print_table(table: Table) -> None:
    """Print to standard output; into a file or a pipe every cell whole, however wide a row gets."""
    console = Console()
    if not console.is_terminal:
        width = Console(width=WIDEST).measure(table).maximum
        console = Console(width=width)
    console.print(table)
