"""A report as one HTML file that needs nothing beside it."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1320px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; } th, td { padding: .25em .8em; border-bottom: 1px solid #ddd; }
td, th { text-align: right; } td:first-child, th:first-child { text-align: left; }
img { max-width: 640px; width: 100%; }
.verdict { font-weight: bold; } .bad { color: #b00020; } .good { color: #1b6e2e; }
"""


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return an HTML table; floats are shown with as many digits as they need."""
    lines = ["<table><tr>", *(f"<th>{html.escape(cell)}</th>" for cell in head), "</tr>"]
    for row in rows:
        lines += ["<tr>", *(f"<td>{html.escape(_shown(cell))}</td>" for cell in row), "</tr>"]
    return "".join([*lines, "</table>"])


def facts(values: Mapping[str, str]) -> str:
    """Return names and values as a table without a head."""
    rows = (f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in values.items())
    return f"<table>{''.join(rows)}</table>"


def verdict(text: str, good: bool) -> str:
    """Return a line that says whether a bound was kept."""
    return f'<p class="verdict {"good" if good else "bad"}">{"✓" if good else "✗"} {html.escape(text)}</p>'


def heading(text: str) -> str:
    """Return a heading."""
    return f"<h2>{html.escape(text)}</h2>"


def write_report(folder: Path, name: str, title: str, parts: Sequence[str], figures: Mapping[str, Any]) -> Path:
    """Write NAME.html and NAME.json into a folder; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{name}.html"
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    page.write_text(
        f"<!doctype html><html><head>{head}</head><body><h1>{html.escape(title)}</h1>{''.join(parts)}</body></html>\n",
        encoding="utf-8",
    )
    content = json.dumps(figures, ensure_ascii=False, indent=1)
    (folder / f"{name}.json").write_text(content + "\n", encoding="utf-8")
    return page


def _shown(cell: Any) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"
