"""Convert any value of a record to JSON."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

TOO_DEEP = "its arrays and objects stand too deep in one another"


def to_json(value: Any) -> str:
    """Return JSON; numbers that it has not (NaN, the infinities) are null, dates are strings, bytes are base64."""
    try:
        try:
            return _JSON.encode(value)
        except ValueError:
            return _JSON.encode(_without_nan(value))
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def _plain(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return [_without_nan(each) for each in value] if isinstance(value, (list, tuple)) else value


_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain)
