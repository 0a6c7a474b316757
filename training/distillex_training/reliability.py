"""How often entities of a score are right: calibration error, and the reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

BINS = 10
PICTURES = (".svg", ".png", ".pdf")
"""Endings of the files that a diagram may be drawn in."""


@dataclass(frozen=True)
class Bin:
    """The entities whose scores lie between two bounds of equal distance."""

    low: float
    high: float
    count: int
    mean_score: float
    """0 where there is none."""
    precision: float
    """Share of them that are right; 0 where there is none."""


@dataclass(frozen=True)
class Reliability:
    """Scores of found entities, and which of them are right."""

    scores: Sequence[float]
    right: Sequence[bool]

    @property
    def mean_score(self) -> float:
        """Of the entities; 0 without one."""
        return float(np.mean(self.scores)) if self.scores else 0.0

    @property
    def precision(self) -> float:
        """Share of them that are right; 0 without one."""
        return float(np.mean(self.right)) if self.right else 0.0

    @property
    def calibration_error(self) -> float:
        """Expected calibration error in 10 bins of equal width (Naeini et al., AAAI 2015); 0 without an entity."""
        gaps = sum(each.count * abs(each.mean_score - each.precision) for each in self.bins)
        return gaps / len(self.scores) if self.scores else 0.0

    @property
    def log_loss(self) -> float:
        """Mean negative log likelihood of the entities' being right, or not, by their scores; 0 without an entity."""
        if not self.scores:
            return 0.0
        # The decoder's float32 rounds to 1 what is nearer to it: one such score that is wrong would rule all others.
        scores = np.clip(np.asarray(self.scores, dtype=np.float64), 1e-12, 1 - 1e-7)
        return float(-np.log(np.where(self.right, scores, 1 - scores)).mean())

    @cached_property
    def bins(self) -> tuple[Bin, ...]:
        """All ten, lowest scores first."""
        scores, right = np.asarray(self.scores, dtype=np.float64), np.asarray(self.right, dtype=np.float64)
        places = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
        bins = []
        for place in range(BINS):
            inside = places == place
            means = (float(scores[inside].mean()), float(right[inside].mean())) if inside.any() else (0.0, 0.0)
            bins.append(Bin(place / BINS, (place + 1) / BINS, int(inside.sum()), *means))
        return tuple(bins)


def draw_reliability(reliability: Reliability, picture: Path) -> None:
    """Draw precision by score, against the diagonal on which scores say how often they are right, over their counts.

    Parameters
    ----------
    reliability
        What to draw.
    picture
        File to write; its ending, one of ``PICTURES``, names the format.
    """
    import matplotlib
    from matplotlib.figure import Figure

    bins = [each for each in reliability.bins if each.count]
    # Text as text, and the same file for the same figures.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "distillex"}):
        figure = Figure(figsize=(4.0, 4.4), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [4, 1]})
        above.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
        above.bar([each.low + 0.05 for each in bins], [each.precision for each in bins], width=0.09, alpha=0.35)
        above.plot([each.mean_score for each in bins], [each.precision for each in bins], marker="o", markersize=4)
        above.set(xlim=(0, 1), ylim=(0, 1), ylabel="precision")
        above.set_title(f"calibration error {reliability.calibration_error:.3f}", fontsize=9)
        counts = below.bar([each.low + 0.05 for each in bins], [each.count for each in bins], width=0.09)
        below.bar_label(counts, fontsize=7)
        below.set(xlabel="score", ylabel="entities")
        below.margins(y=0.35)
        dated = {"Date": None} if picture.suffix == ".svg" else {}
        figure.savefig(picture, dpi=120, metadata=dated)
