"""Format durations for people."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a time as ``4:07`` or ``1:04:07``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
