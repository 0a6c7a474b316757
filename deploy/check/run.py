"""Check everything under deploy/ with the real tools: ``python deploy/check/run.py [--short] [CHECK…]``.

A check whose tool cannot be had here is skipped, with the reason. Exit code 1 where one fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import chart
import compose
import dockerfiles
import images
import monitoring
import page
import sbom
from tools import FOLDER, ToolMissingError, Tools

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Check:
    """One check: returns what is wrong in a tree, whose root it is given."""

    run: Callable[[Path, Tools], list[str]]
    short: bool = True
    """Whether the short form has it."""


CHECKS = {
    "dockerfiles": Check(dockerfiles.check_dockerfiles),
    "compose": Check(compose.check_compose),
    "compose gate": Check(compose.check_gate),
    "page": Check(page.check_commands),
    "rules": Check(monitoring.check_rules),
    "dashboard": Check(monitoring.check_dashboard),
    "chart": Check(chart.check_chart),
    "chart page": Check(chart.check_page),
    "chart values": Check(chart.check_values),
    "chart gate": Check(chart.check_gate),
    "chart schemas": Check(chart.check_schemas),
    "kserve": Check(chart.check_kserve),
    "sbom": Check(sbom.check_sbom),
    "images": Check(images.check_images, short=False),
}


def main() -> int:
    """Run the checks that are asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="leave out what takes minutes")
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    arguments = parser.parse_args()
    if unknown := set(arguments.checks) - CHECKS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(CHECKS)}")
    chosen = {name: CHECKS[name] for name in arguments.checks or CHECKS}
    if arguments.short:
        chosen = {name: check for name, check in chosen.items() if check.short}
    tools, failed = Tools(FOLDER), 0
    for name, check in chosen.items():
        began = time.monotonic()
        try:
            problems = check.run(ROOT, tools)
        except ToolMissingError as error:
            _say(f"SKIPPED  {name}: {error}")
            continue
        failed += bool(problems)
        _say(f"{'FAILED ' if problems else 'ok     '}  {name} ({time.monotonic() - began:.1f} s)")
        for problem in problems:
            _say(f"         {problem}")
    return 1 if failed else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
