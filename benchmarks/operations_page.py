"""Write what was measured into its place in docs/how-to/operations.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "operations.md"


def write_section(script: str, lines: Sequence[str], page: Path = PAGE) -> None:
    """Put lines between the two marks of a script.

    Raises
    ------
    ValueError
        Where the page has not these marks once each, in this order.
    """
    begin, end = f"<!-- written by benchmarks/{script} --write, do not edit -->", f"<!-- end of {script} -->"
    text = page.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"{page} must hold one line {begin!r} and, below it, one line {end!r}")
    head, tail = text[: text.index(begin)], text[text.index(end) :]
    page.write_text(head + "\n".join([begin, "", *lines, "", tail]), encoding="utf-8")


def machine_line(machine: Mapping[str, str]) -> str:
    """Say on what the figures were taken, of what ``machine.describe_machine`` returned before."""
    return (
        f"Measured on {machine['processor']}, {machine['vnni']}, {machine['cores']} usable cores, {machine['memory']}, "
        f"{machine['system']}; {machine['versions']}; load before: {machine['load before']}."
    )
