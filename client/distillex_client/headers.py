"""Headers of a call: the caller's metadata."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Metadata = Mapping[str, str] | Callable[[], Mapping[str, str]]
"""Headers such as ``{"authorization": "Bearer …"}``, or a function that returns them, asked at each attempt."""

_KEY = re.compile(r"[0-9a-z_.-]+")
VALUE = re.compile(r"[\x20-\x7e]*")
"""What gRPC takes for the value of a header."""


def checked_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with names in lower case.

    Raises
    ------
    ValueError
        Names the header that gRPC would refuse. Its value is not told: it may be a secret.
    """
    checked = {}
    for name, value in metadata.items():
        key = name.lower()
        if not _KEY.fullmatch(key) or key.endswith("-bin"):
            raise ValueError(f"metadata {name!r}: a name has letters, digits, '_', '.', '-' and does not end in '-bin'")
        if not VALUE.fullmatch(value):
            raise ValueError(f"metadata {name!r}: the value holds a line break or a character that is not ASCII")
        checked[key] = value
    return checked
