"""Parse PromQL expressions, one a line as JSON; print for each what is wrong, or the metrics that it reads.

Runs in the tools' own environment (promql-parser).
"""

from __future__ import annotations

import json
import sys

import promql_parser


def names_in(expression: str) -> list[str]:
    """Return the metrics that an expression reads.

    Raises
    ------
    ValueError
        Where it is not PromQL, or reads a metric that it does not name.
    """
    found: list[str] = []

    def note(part: object) -> bool:
        if isinstance(part, promql_parser.VectorSelector):
            if not part.name:
                raise ValueError("a selector without a metric's name")
            found.append(part.name)
        return True

    promql_parser.walk(promql_parser.parse(expression), note)
    return found


for line in sys.stdin:
    try:
        sys.stdout.write(json.dumps({"names": names_in(json.loads(line))}) + "\n")
    except ValueError as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
