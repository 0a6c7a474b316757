"""Learning curves as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


def draw_curves(metrics: Path, picture: Path, panels: Sequence[Sequence[str]]) -> None:
    """Draw entries of a run's ``metrics.jsonl`` against its steps.

    Parameters
    ----------
    metrics
        One JSON object a line, with ``step`` and the entries to draw; a line without one is left out of its curve.
    picture
        PNG file to write.
    panels
        Names of entries, a group a panel.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    figure = Figure(figsize=(5.0 * len(panels), 3.5), layout="constrained")
    for place, names in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), place + 1)
        for name in names:
            points = [(row["step"], row[name]) for row in rows if name in row and "step" in row]
            axes.plot([step for step, _ in points], [value for _, value in points], marker=".", label=name)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(picture, dpi=120)
