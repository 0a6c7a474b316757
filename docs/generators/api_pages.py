"""A page for each package that a program imports: what its ``__all__`` names, by mkdocstrings."""

from __future__ import annotations

import importlib

PACKAGES = {
    "distillex": "What you import to extract in your own process. [How to use it](../how-to/python.md).",
    "distillex_client": "The client of a server, and what an entity is. [How to use it](../how-to/client.md).",
    "distillex_matcher": "The C++ core and its Python face: matching, features, labels, decoding, lexicons. "
    "[How it works](../explanation/matcher.md).",
}


def api_page(package: str) -> str:
    """Return the page of a package; what it takes over from another one is a link to that one's page."""
    module = importlib.import_module(package)
    own, taken_over, constants = [], [], []
    for name in module.__all__:
        value = getattr(module, name)
        home = str(getattr(value, "__module__", package)).partition(".")[0]
        if not callable(value):
            constants.append(f"`{name}`")
        elif home == package:
            own.append(name)
        elif home in PACKAGES and home != package:
            taken_over.append(f"[`{name}`][{home}.{name}]")
    parts = [f"# Python: {package}\n\n{PACKAGES[package]}\n"]
    if taken_over:
        parts.append(f"It also has, from the packages below it: {', '.join(taken_over)}.\n")
    if constants:
        parts.append(f"Constants: {', '.join(constants)}.\n")
    parts.extend(f"::: {package}.{name}\n" for name in own)
    return "\n".join(parts)
