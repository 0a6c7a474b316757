"""Parse untrusted JSON: every error is one sentence."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from distillex.errors import Reason, RefusedError


def parse_json(content: bytes, what: str, reason: Reason = "request") -> Any:
    """Parse UTF-8 JSON without repeated keys, NaN or infinities.

    Parameters
    ----------
    content
        The bytes.
    what
        Begins the messages.
    reason
        Of the refusal.

    Raises
    ------
    RefusedError
        Says what is wrong.
    """
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise RefusedError(f"{what} is not UTF-8 (byte {error.start})", reason) from None
    except json.JSONDecodeError as error:
        raise RefusedError(f"{what} is not JSON: {error}", reason) from None
    except RefusedError as error:
        raise RefusedError(f"{what} {error}", reason) from None
    except (ValueError, RecursionError):
        message = f"{what} is not JSON: numbers that long, or brackets that deep, are not accepted"
        raise RefusedError(message, reason) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise RefusedError(f"holds the key {repeated[:40]!r} twice")
    return found


def _constant(name: str) -> NoReturn:
    raise RefusedError(f"holds {name}, which is not JSON")
