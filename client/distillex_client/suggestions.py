"""Suggest existing names that are similar to an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that a wrong one is most like, None where none is."""
    by_folded = {each.casefold(): each for each in known}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[found[0]] if found else None


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return what to say of an unknown name: what it may have meant, and the known ones."""
    names = list(known)
    meant = nearest(name, names)
    suggestion = f"did you mean {meant!r}? " if meant else ""
    return f"unknown {kind} {name!r}; {suggestion}accepted: {', '.join(names)}"
