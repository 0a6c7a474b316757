"""Tables that a command prints."""

from __future__ import annotations

import pytest
from distillex_client.tables import print_table
from rich.table import Table

COLUMNS = 12
CELL = "a-name-that-is-longer-than-most"


def test_a_table_is_whole_where_nobody_looks_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    table = Table(*(f"column {i}" for i in range(COLUMNS)))
    table.add_row(*(f"{CELL}-{i}" for i in range(COLUMNS)))
    table.add_row("in one line 上海", *([""] * (COLUMNS - 1)))

    print_table(table)

    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if CELL in line]
    assert all(f"{CELL}-{i}" in row for i in range(COLUMNS))
    assert sum("in one line 上海" in line for line in lines) == 1
    assert "…" not in "".join(lines)
