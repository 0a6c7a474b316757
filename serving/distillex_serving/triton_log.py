"""Pick the useful lines of tritonserver's log when it failed to start."""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST_LINES = 12
OWN_WORDS = re.compile(r"TritonModelException: (.*?)(?:\\n|$)")
"""What a Python model said when it refused to start; Triton repeats it for each instance and each model above it."""


def reasons(lines: Sequence[str]) -> str:
    """Return why the server did not come up: the models' own words where there are some, else its errors."""
    said = [match.group(1) for line in lines for match in OWN_WORDS.finditer(line)]
    if said:
        return "\n".join(dict.fromkeys(said))
    telling = [line for line in lines if line.startswith("E") or "cannot start" in line or "UNAVAILABLE" in line]
    return "\n".join((telling or list(lines))[-MOST_LINES:])
