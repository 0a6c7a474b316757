"""Write what a sweep chose: into the configuration, and as tables into docs/how-to/serving.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from settings import CONFIGURATION, SETTINGS, read_configuration, with_value

ROOT = Path(__file__).resolve().parents[1]
BEGIN = "<!-- sweep: written by load_tests/sweep.py, do not edit -->"
END = "<!-- end of sweep -->"


class DocumentError(ValueError):
    """docs/how-to/serving.md lacks the places where the tables go."""


def write_choices(figures: Mapping[str, Any], root: Path = ROOT) -> list[Path]:
    """Write the chosen values of a sweep into the configuration and its tables into docs/how-to/serving.md.

    Parameters
    ----------
    figures
        The content of sweep.json.
    root
        The source tree.

    Returns
    -------
    list of Path
        The files that changed.
    """
    text = read_configuration(root / "model_repository")
    for setting in SETTINGS:
        if (value := figures["values"].get(setting.name)) is not None:
            text = with_value(text, setting, value)
    document = root / "docs" / "how-to" / "serving.md"
    contents = {
        root / "model_repository" / CONFIGURATION: text,
        document: with_tables(document.read_text(encoding="utf-8"), figures),
    }
    changed = [path for path, text in contents.items() if path.read_text(encoding="utf-8") != text]
    for path in changed:
        path.write_text(contents[path], encoding="utf-8")
    return changed


def with_tables(document: str, figures: Mapping[str, Any]) -> str:
    """Return the document with the sweep's tables between its markers."""
    if document.count(BEGIN) != 1 or document.count(END) != 1 or document.index(BEGIN) > document.index(END):
        raise DocumentError(f"docs/how-to/serving.md must hold one line {BEGIN!r} and, below it, one line {END!r}")
    head, tail = document[: document.index(BEGIN)], document[document.index(END) :]
    return head + "\n".join([BEGIN, "", *_lines(figures), "", tail])


def _lines(figures: Mapping[str, Any]) -> list[str]:
    machine = figures["machine"]
    lines = [
        f"Measured on {machine['processor']}, {machine['vnni']}, {machine['cores']} usable cores, {machine['memory']}, "
        f"{machine['system']}; "
        f"{machine['versions']}; load before: {machine['load before']}.",
        f"Medians of {figures['rounds']} alternating rounds of {figures['seconds']:g} s; client and server share the "
        f"cores. Saturated: {figures['saturation_users']} users of traffic.py's mixture.",
        "",
        "| users | sentences/s | p50 ms | p95 ms | p99 ms |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {s['users']} | {s['texts_per_s']:,.0f} | {s['p50_ms']:.2f} | {s['p95_ms']:.1f} | {s['p99_ms']:.1f} |"
        for s in figures["saturation"]
    ]
    lines += [
        "",
        "| setting | value | sentences/s, saturated | p95 ms, saturated | p50 ms, one user | p99 ms, one user "
        "| first request ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for trial in figures["trials"]:
        for value, f in trial["figures"].items():
            shown = f"**{value}**" if value == trial["chosen"] else value
            lines.append(
                f"| {trial['setting']} | {shown} | {f['texts_per_s']:,.0f} | {f['p95_ms']:.1f} | "
                f"{f['single_p50_ms']:.2f} | {f['single_p99_ms']:.2f} | {f['first_request_ms']:.1f} |"
            )
    lines += ["", "Where the time of a request goes with the chosen settings (bold above), by Triton's statistics:"]
    lines += [
        "",
        "| load | model | requests a batch | queue ms | input ms | compute ms | output ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for load, times in figures["times"].items():
        lines += [
            f"| {load} | {t['model']} | {t['batch']:.2f} | {t['queue_ms']:.3f} | {t['input_ms']:.3f} | "
            f"{t['infer_ms']:.3f} | {t['output_ms']:.3f} |"
            for t in times
        ]
    return lines
