"""What is drawn of the figures that the documentation keeps: learning curves, files, trust."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = ROOT / "training" / "evidence"
RESULTS = ROOT / "docs" / "notebook" / "results.json"
TRUST_PAGE = ROOT / "docs" / "how-to" / "lexicons.md"
TRUST = "trust.png"
STAMP = "drawn-from"


def models_page() -> str:
    """Return the page of all training runs."""
    page: str = _write_results().markdown(_write_results().read_results(RESULTS))
    return page


def draw_pictures(folder: Path) -> list[Path]:
    """Draw into a folder what the pages show, unless it was drawn of the same figures before; return the files."""
    figures = [RESULTS, TRUST_PAGE, EVIDENCE / "write_results.py", Path(__file__)]
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in figures)).hexdigest()
    if not (folder / STAMP).exists() or (folder / STAMP).read_text(encoding="utf-8") != stamp:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob("*.png"):
            stale.unlink()
        write_results = _write_results()
        write_results.draw(write_results.read_results(RESULTS), folder)
        draw_trust(TRUST_PAGE.read_text(encoding="utf-8"), folder / TRUST)
        (folder / STAMP).write_text(stamp, encoding="utf-8")
    return sorted(folder.glob("*.png"))


def draw_trust(page: str, path: Path) -> None:
    """Draw the first table of a page whose rows are values of λ: what each gives and costs, in per cent.

    Raises
    ------
    ValueError
        Where the page has no such table.
    """
    from matplotlib.figure import Figure

    table = re.search(r"^\| λ \|.*\n\|[-|: ]+\n((?:\|.*\n)+)", page, re.MULTILINE)
    if table is None:
        raise ValueError(f"{TRUST_PAGE}: no table whose first column is λ")
    heads = _cells(table[0].splitlines()[0])
    rows = [cells for cells in map(_cells, table[1].splitlines()) if re.fullmatch(r"\d+(\.\d+)?", cells[0])]
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.add_subplot()
    condition = ""
    for place, head in enumerate(heads[1:], start=1):
        condition = head.rpartition(": ")[0] or condition
        label = head if ":" in head or not condition else f"{condition}: {head}"
        axes.plot(
            [float(cells[0]) for cells in rows],
            [_per_cent(cells[place]) for cells in rows],
            marker=".",
            label=label,
        )
    axes.grid(alpha=0.3)
    axes.set_xlabel("λ of prefer, added to the score of a path that tags the word")
    axes.set_ylabel("%")
    figure.legend(loc="outside lower left", fontsize="small", frameon=False)
    figure.savefig(path, dpi=120)


def _cells(line: str) -> list[str]:
    return [cell.strip(" *") for cell in line.strip().strip("|").split("|")]


def _per_cent(cell: str) -> float:
    """Return ``0.853`` and ``230 (85.3 %)`` as 85.3."""
    share = re.search(r"\(([\d.]+) %\)", cell)
    return float(share[1]) if share else 100 * float(cell)


def _write_results() -> Any:
    if str(EVIDENCE) not in sys.path:
        sys.path.insert(0, str(EVIDENCE))
    return importlib.import_module("write_results")
