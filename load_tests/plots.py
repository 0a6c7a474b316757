"""Plots as images that stand inside an HTML page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Name of a line → its x and y values."""


def line_plot(title: str, x_label: str, y_label: str, series: Series, *, logarithmic: bool = False) -> str:
    """Return an ``<img>`` of lines with points."""
    figure, axes = _figure(title, x_label, y_label)
    for name, (x, y) in series.items():
        axes.plot(x, y, marker="o" if len(x) < 40 else None, markersize=4, linewidth=1.4, label=name)
    if logarithmic:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    if len(series) > 1:
        axes.legend(fontsize=7)
    return _image(figure, title)


def stacked_bars(title: str, y_label: str, bars: Mapping[str, Mapping[str, float]]) -> str:
    """Return an ``<img>`` of one bar a name, stacked out of named parts."""
    figure, axes = _figure(title, "", y_label)
    parts = list(dict.fromkeys(part for each in bars.values() for part in each))
    bottom = [0.0] * len(bars)
    for part in parts:
        heights = [each.get(part, 0.0) for each in bars.values()]
        axes.bar(list(bars), heights, bottom=bottom, label=part, width=0.6)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    axes.legend(fontsize=7)
    return _image(figure, title)


def _figure(title: str, x_label: str, y_label: str) -> tuple[Any, Any]:
    # Figure alone, without pyplot: no display, no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    return figure, axes


def _image(figure: Any, title: str) -> str:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    encoded = base64.b64encode(content.getvalue()).decode()
    return f'<img alt="{title}" src="data:image/png;base64,{encoded}">'
