"""docs/notebook/results.json → models.md and its pictures: F1, size and speed of every model, learning curves.

    python training/evidence/write_results.py

The documentation has that page as ``notebook/models.md``; it is made when the site is built, and is not kept in git.

The table's F1 is of the float32 network in PyTorch, mean and spread (largest less smallest) over seeds; "file" columns
are of the exported file. Ratios are against the set's row "teacher, with lexicon". Models named "ABLATION: WHAT" get a
table and a picture of their own.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from distillex_matcher.layout import write_atomically
from results_file import FILES, RESULTS, ROOT, RUNS, read_results

TEACHER = "teacher, with lexicon"
SEPARATOR = ": "
COLOURS = 10
DASHES = ("-", "--", ":", "-.")
DOTS_PER_INCH = 120
HEAD = """# Models

Made by `training/evidence/write_results.py` from [results.json](results.json), which holds every run with its
command, seed and commit. Scores are strict span F1 on the development split, the best epoch picked on it; a spread
(largest less smallest) is given where there is more than one seed. Speed in process is that of the network alone in
ONNX Runtime on the machine's cores; served, that of texts in and entities out through the embedded server, its client
on the same cores. All files of a set in one run; more of the served path in
[the notebook](2026-11.md#served).
"""
COLUMNS = (
    "model",
    "F1",
    "seeds",
    "parameters",
    "file MB",
    "F1 of the file",
    "ms a sentence",
    "sentences/s",
    "served sentences/s",
    "times smaller",
    "times as fast",
    "times as fast, served",
)


def rows_of_set(name: str, results: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    """Return the table rows of one set, the teacher first, the others by F1."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for run in results[RUNS]:
        if run["set"] == name:
            runs.setdefault(run["model"], []).append(run)
    files = {file["model"]: file for file in results[FILES] if file["set"] == name}
    teacher = files.get(TEACHER)
    scores = {model: file["f1"] for model, file in files.items()}
    scores |= {model: mean(run["f1"] for run in of_model) for model, of_model in runs.items()}
    models = sorted(scores, key=lambda model: (model != TEACHER, scores[model]))
    return [_row(model, runs.get(model, []), files.get(model), teacher) for model in models]


def _row(
    model: str, runs: Sequence[dict[str, Any]], file: dict[str, Any] | None, teacher: dict[str, Any] | None
) -> list[str]:
    scores = [run["f1"] for run in runs]
    spread = f" ({max(scores) - min(scores):.4f})" if len(scores) > 1 else ""
    cells = [_within(model), f"{mean(scores):.4f}{spread}" if scores else "", str(len(scores) or "")]
    cells.append(f"{runs[0]['parameters']:,}" if runs else "")
    if file is None:
        return [*cells, *[""] * (len(COLUMNS) - len(cells))]
    cells += [
        f"{file['bytes'] / 1e6:.2f}",
        f"{file['f1']:.4f}",
        f"{file['milliseconds_per_sentence']:.2f}",
        f"{file['sentences_per_second']:.0f}",
        f"{file['served_sentences_per_second']:.0f}",
    ]
    if teacher is None:
        return [*cells, *[""] * (len(COLUMNS) - len(cells))]
    faster = (file[key] / teacher[key] for key in ("sentences_per_second", "served_sentences_per_second"))
    return [*cells, f"{teacher['bytes'] / file['bytes']:.1f}", *(f"{each:.1f}" for each in faster)]


def markdown(results: dict[str, list[dict[str, Any]]]) -> str:
    """Return the whole page."""
    parts = [HEAD]
    for name, ablation in _sections(results):
        parts.append(f"### {name}, {ablation}\n" if ablation else f"## {name}\n")
        of_section = {kind: [row for row in results[kind] if _ablation(row) == ablation] for kind in (RUNS, FILES)}
        lines = [COLUMNS, ["---"] * len(COLUMNS), *rows_of_set(name, of_section)]
        parts.append("".join(f"| {' | '.join(line)} |\n" for line in lines))
        runs = [run for run in of_section[RUNS] if run["set"] == name]
        commands = "".join(
            f"- {run['model']}, seed {run['seed']} (commit {run['commit']}): `{run['command']}`"
            f"{'; ' + run['note'] if run['note'] else ''}\n"
            for run in runs
        )
        notes = [file for file in of_section[FILES] if file["set"] == name and file.get("note")]
        parts.append("".join(f"{_within(file['model'])}: {file['note']}\n" for file in notes))
        parts.append(f"{commands}\n![F1 by epoch](images/{_picture(name, ablation)})\n" if runs else "")
    parts.append("## Size, speed and F1\n\n![Size, speed and F1 of the exported files](images/size-speed-f1.png)\n")
    return "\n".join(part for part in parts if part)


def draw(results: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    """Draw a picture of learning curves for each set and each ablation, and one of all files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, ablation in _sections(results):
        runs = [run for run in results[RUNS] if run["set"] == name and _ablation(run) == ablation and run["curve"]]
        draw_curves(runs, folder / _picture(name, ablation))
    draw_files(results[FILES], folder / "size-speed-f1.png")


def draw_curves(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw development F1 by epoch: a colour and dash a model, its seeds' mean in a band from worst to best."""
    models: dict[str, list[dict[str, Any]]] = {}
    for run in sorted(runs, key=lambda run: -float(run["f1"])):
        models.setdefault(run["model"], []).append(run)
    figure, axes = _figure(len(models))
    for number, (model, of_model) in enumerate(models.items()):
        colour = f"C{number % COLOURS}"
        by_epoch: dict[float, list[float]] = {}
        for run in of_model:
            for each in run["curve"]:
                by_epoch.setdefault(each["epoch"], []).append(each["f1"])
        epochs = sorted(by_epoch)
        scores = [by_epoch[epoch] for epoch in epochs]
        look = {"color": colour, "linestyle": DASHES[number // COLOURS % len(DASHES)]}
        axes.plot(epochs, [mean(each) for each in scores], marker=".", label=_within(model), **look)
        if len(of_model) > 1:
            axes.fill_between(
                epochs, [min(each) for each in scores], [max(each) for each in scores], color=colour, alpha=0.1
            )
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel("development F1")
    _legend_below(figure, axes)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def draw_files(files: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw development F1 by speed; the area of a mark is proportional to the file's size, the legend is below."""
    figure, axes = _figure(len(files))
    for file in sorted(files, key=lambda file: -float(file["f1"])):
        label = f"{file['set']}: {file['model']}, {file['bytes'] / 1e6:.1f} MB"
        area = file["bytes"] / 1e5
        axes.scatter(file["sentences_per_second"], file["f1"], s=area, alpha=0.5, label=label)
    axes.set_xscale("log")
    axes.set_xlabel("sentences/s in process")
    axes.set_ylabel("development F1")
    axes.margins(x=0.2, y=0.2)
    for mark in _legend_below(figure, axes).legend_handles:
        mark.set_sizes([40.0])
    figure.savefig(path, dpi=DOTS_PER_INCH)


def _figure(entries: int) -> tuple[Any, Any]:
    """Return a figure with room for a legend of so many lines, and its axes."""
    # Figure alone, without pyplot: no display, no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5 + 0.2 * entries), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    return figure, axes


def _legend_below(figure: Any, axes: Any) -> Any:
    handles, labels = axes.get_legend_handles_labels()
    return figure.legend(handles, labels, loc="outside lower left", fontsize="small", frameon=False)


def _ablation(row: dict[str, Any]) -> str:
    """Return what a model's name begins with before a colon; nothing where it has none."""
    return str(row["model"]).rpartition(SEPARATOR)[0]


def _within(model: str) -> str:
    """Return a model's name without that of its ablation."""
    return model.rpartition(SEPARATOR)[2]


def _picture(name: str, ablation: str) -> str:
    return "-".join(["curves", *re.findall(r"[0-9a-z]+", f"{name} {ablation}".lower())]) + ".png"


def _sections(results: dict[str, list[dict[str, Any]]]) -> list[tuple[str, str]]:
    """Return each set, and after it each of its ablations."""
    return sorted({(row["set"], _ablation(row)) for kind in (RUNS, FILES) for row in results[kind]})


def main() -> None:
    """Write the page and its pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    output = ROOT / "build" / "results"
    parser.add_argument("--output", type=Path, default=output, help="folder of models.md and images/")
    asked = parser.parse_args()
    results = read_results(asked.results)
    draw(results, asked.output / "images")
    write_atomically(asked.output / "models.md", markdown(results))
    print(f"written: {asked.output / 'models.md'}")


if __name__ == "__main__":
    main()
