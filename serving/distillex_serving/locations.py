"""Find the shipped model configurations."""

from __future__ import annotations

from pathlib import Path

from distillex.locations import shipped


def shipped_configurations() -> Path:
    """Return the source tree's ``model_repository``, or the one packaged in the wheel."""
    return shipped(__file__, "model_repository")
