"""Put what benchmarks/bench_gpu.py measured into docs/notebook/results.json and into the tables of docs/how-to/gpu.md.

    python training/evidence/record_gpu.py build/gpu/results.json

A run of the same card, with the same versions, is replaced. The page gets the tables of all runs, the newest first.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from distillex_matcher.layout import write_atomically
from results_file import GPU, RESULTS, ROOT, current_commit, put_row, read_results

sys.path.insert(0, str(ROOT / "benchmarks"))
from gpu_tables import tables

PAGE = ROOT / "docs" / "how-to" / "gpu.md"
BEGIN = "<!-- measured: written by training/evidence/record_gpu.py, do not edit -->"
END = "<!-- end of what was measured -->"


def record(report: dict[str, Any], results: Path = RESULTS, page: Path = PAGE) -> None:
    """Keep a report, and write the page anew.

    Raises
    ------
    ValueError
        For a page without the two marks.
    """
    told = report["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in told.items() if name not in ("card", "driver", "cores"))
    put_row(GPU, {"card": told["card"], "versions": versions, "commit": current_commit(), **report}, results)
    content = page.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no {BEGIN} … {END}")
    reports = sorted(read_results(results)[GPU], key=lambda row: str(row["date"]), reverse=True)
    written = "\n".join(f"### {row['card']}\n\n{tables(row)}" for row in reports)
    write_atomically(page, f"{before}{BEGIN}\n\n{written}\n{END}{after}")


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    asked = parser.parse_args()
    record(json.loads(asked.report.read_text(encoding="utf-8")), asked.results, asked.page)
    print(f"written: {asked.results}, {asked.page}")


if __name__ == "__main__":
    main()
