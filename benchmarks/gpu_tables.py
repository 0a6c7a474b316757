"""What bench_gpu.py measured, as tables of docs/how-to/gpu.md."""

from __future__ import annotations

from typing import Any

MODELS = ("student", "teacher")


def tables(report: dict[str, Any]) -> str:
    """Return the tables in Markdown: where it was measured, networks, pipeline, bounds."""
    told = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    parts = [f"{report['date']}: {told}.", networks(report), pipeline(report), limits(report), missing(report)]
    return "\n\n".join([part for part in parts if part] + [acceptance(report)]) + "\n"


def networks(report: dict[str, Any]) -> str:
    """Return milliseconds a batch, a row a shape and form."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in report.get("networks", ()):
        rows.setdefault((row["shape"], row["form"]), {})[row["model"]] = row
    by_size = sorted(rows.items(), key=lambda item: [int(number) for number in item[0][0].split("x")])
    head = ["batch x tokens", "form", "student ms", "teacher ms", "ratio", "student's copies, in and out, ms"]
    return _table(head, [[*key, *_cells(row)] for key, row in by_size])


def _cells(row: dict[str, Any]) -> list[str]:
    times = [row[model]["network_ms"] if model in row else None for model in MODELS]
    ratio = f"{times[1] / times[0]:.1f}" if times[0] and times[1] else ""
    student = row.get("student", {})
    copies = f"{student['copy_in_ms']:.3f}, {student['copy_out_ms']:.3f}" if "copy_in_ms" in student else ""
    return [*("" if each is None else f"{each:.3f}" for each in times), ratio, copies]


def pipeline(report: dict[str, Any]) -> str:
    """Return sentences a second and agreement of each form."""
    rows = []
    served = {row["form"]: row for row in report.get("served", ())}
    for row in report.get("pipeline", ()):
        mine = served.get(row["form"], {}) if row["model"] == "student" else {}
        rows.append(
            [
                row["form"],
                row["model"],
                f"{row['sentences_per_second']:,.0f}",
                f"{row['agreement']:.2%}" if "agreement" in row else "",
                f"{row['as_int8']:.2%}" if "as_int8" in row else "",
                f"{mine['rate']:,.0f}" if "rate" in mine else "",
                f"{mine['agreement']:.2%}" if "agreement" in mine else "",
            ]
        )
    head = [
        "form",
        "model",
        "sentences/s in process",
        "spans as in float32",
        "as in the CPU's int8",
        "served sentences/s",
        "served, spans",
    ]
    return _table(head, rows)


def limits(report: dict[str, Any]) -> str:
    """Return microseconds a sentence of each part, and which part binds."""
    rows, head = [], ["form", "model", "batch"]
    for row in report.get("pipeline", ()):
        for each in row.get("parts", ()):
            parts = each["microseconds_per_sentence"]
            head = [*head[:3], *(f"{part}, µs" for part in parts), "binds", "at sentences/s"]
            rate = each["allowed_sentences_per_second"][each["binds"]]
            figures = [f"{microseconds:.1f}" for microseconds in parts.values()]
            rows.append([row["form"], row["model"], str(each["batch"]), *figures, each["binds"], f"{rate:,.0f}"])
    return _table(head, rows)


def missing(report: dict[str, Any]) -> str:
    """Return what was not measured, and why."""
    rows = [
        f"- {row['form']}{', ' + row['shape'] if 'shape' in row else ''}: {row['why']}"
        for row in report.get("not_measured", ())
    ]
    rows += [
        f"- {row['form']}, served: {row['not_measured']}" for row in report.get("served", ()) if "not_measured" in row
    ]
    return "Not measured:\n\n" + "\n".join(rows) if rows else ""


def acceptance(report: dict[str, Any]) -> str:
    """Return each bound and whether it was kept."""
    words = {True: "kept", False: "missed", None: "not measured"}
    rows = [
        [
            name,
            "" if each["measured"] is None else f"{each['measured']:,.4g}",
            f"{each['bound']:,.4g}",
            words[each["kept"]],
        ]
        for name, each in report["acceptance"].items()
    ]
    return _table(["bound", "measured", "wanted", ""], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
