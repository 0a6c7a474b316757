"""Say the version, or set a new one in every file that repeats it: ``python release/version.py [VERSION]``.

``version`` of pyproject.toml is the one that counts; CMake and the compiled module read it there.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = {
    "pyproject.toml": (r'^version = "(.+)"$', r'"distillex-client==([^"]+)"'),
    "client/pyproject.toml": (r'^version = "(.+)"$',),
    "deploy/Dockerfile": (r'image\.version="([^"]+)"',),
    "deploy/Dockerfile.cpu": (r'image\.version="([^"]+)"',),
    "deploy/helm/distillex/Chart.yaml": (r"^version: (\S+)$", r'^appVersion: "(.+)"$'),
}
"""File → expressions that each find the version in it once."""
VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")


def versions(root: Path) -> dict[str, str]:
    """Return the version that each place names, the one that counts first.

    Raises
    ------
    ValueError
        Where a file does not name it just once.
    """
    found = {}
    for name, expressions in PLACES.items():
        text = (root / name).read_text(encoding="utf-8")
        for expression in expressions:
            named = re.findall(expression, text, re.MULTILINE)
            if len(named) != 1:
                raise ValueError(f"{name}: {expression} is found {len(named)} times; once is right")
            found[f"{name} {expression}"] = named[0]
    return found


def set_version(root: Path, version: str) -> None:
    """Write a version in every place.

    Raises
    ------
    ValueError
        For what is no version such as 0.2.0 or 0.2.0rc1, or where a file does not name the present one just once.
    """
    if not VERSION.fullmatch(version):
        raise ValueError(f"{version!r}: no version; such as 0.2.0 or 0.2.0rc1 is accepted")
    versions(root)
    for name, expressions in PLACES.items():
        text = (root / name).read_text(encoding="utf-8")
        for expression in expressions:
            found = re.search(expression, text, re.MULTILINE)
            assert found is not None
            text = text[: found.start(1)] + version + text[found.end(1) :]
        (root / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        for new in sys.argv[1:]:
            set_version(ROOT, new)
        sys.stdout.write(next(iter(versions(ROOT).values())) + "\n")
    except ValueError as error:
        sys.exit(f"release/version.py: {error}")
