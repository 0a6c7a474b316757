"""How long each group of tests took, told by a report of ``pytest --junit-xml``."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

SLOWEST = 15


def table_of(report: Path) -> str:
    """Return two tables: groups with their tests and seconds, and the slowest tests."""
    groups: defaultdict[str, list[float]] = defaultdict(list)
    tests = []
    for case in ElementTree.parse(report).iter("testcase"):
        seconds = float(case.get("time", 0))
        said = {each.get("name"): each.get("value") for each in case.iter("property")}
        groups[said.get("group") or "(not run)"].append(seconds)
        tests.append((seconds, f"{case.get('classname')}::{case.get('name')}"))
    lines = [f"{'group':<12}{'tests':>8}{'seconds':>10}"]
    lines += [f"{group:<12}{len(times):>8}{sum(times):>10.1f}" for group, times in sorted(groups.items())]
    lines += [f"{'all':<12}{len(tests):>8}{sum(seconds for seconds, _ in tests):>10.1f}", "", "slowest tests (seconds)"]
    lines += [f"{seconds:>8.1f}  {name}" for seconds, name in sorted(tests, reverse=True)[:SLOWEST]]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table_of(Path(sys.argv[1])))
