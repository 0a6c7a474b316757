"""The values that a setting accepts, said beside its type and checked when its dataclass is made."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Iterator
from typing import Annotated, Any


@dataclasses.dataclass(frozen=True)
class Range:
    """Finite numbers between two bounds."""

    at_least: float = -math.inf
    more_than: float = -math.inf
    at_most: float = math.inf
    less_than: float = math.inf

    def __contains__(self, value: float) -> bool:
        within = self.more_than < value < self.less_than and self.at_least <= value <= self.at_most
        return within and math.isfinite(value)

    def __str__(self) -> str:
        bounds = (
            f"{field.name.replace('_', ' ')} {getattr(self, field.name)}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        )
        return " and ".join(bounds)


@dataclasses.dataclass(frozen=True)
class OneOf:
    """One of some names."""

    names: tuple[str, ...]

    def __contains__(self, value: str) -> bool:
        return value in self.names

    def __str__(self) -> str:
        return f"one of {', '.join(self.names)}"


class NotEmpty:
    """At least one value."""

    def __contains__(self, value: tuple[Any, ...]) -> bool:
        return len(value) > 0

    def __str__(self) -> str:
        return "a list of at least one value"


Size = Annotated[int, Range(at_least=1)]
Count = Annotated[int, Range(at_least=0)]
HashSize = Annotated[int, Range(at_least=2)]
"""Row 0 of a hashed table is that of no word."""
Seed = Annotated[int, Range(at_least=0, less_than=2**63)]
Rate = Annotated[float, Range(more_than=0)]
Weight = Annotated[float, Range(at_least=0)]
Share = Annotated[float, Range(at_least=0, at_most=1)]
ShareBelowOne = Annotated[float, Range(at_least=0, less_than=1)]
ACCEPTED = (Range, OneOf, NotEmpty)


class Checked:
    """A dataclass whose fields are checked against what their annotations accept."""

    def __post_init__(self) -> None:
        """Check.

        Raises
        ------
        ValueError
            For the first field with another value; the message names it, the value and what is accepted.
        """
        for name, hint in typing.get_type_hints(type(self), include_extras=True).items():
            value = getattr(self, name)
            for accepted, part in _checks(hint, value):
                if part not in accepted:
                    raise ValueError(f"{name} is {_shown(value)}; {accepted} is accepted{_each(value, part)}")


def _checks(hint: Any, value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what each part of a value has to be in."""
    if value is None:
        return
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is Annotated:
        yield from ((each, value) for each in arguments[1:] if isinstance(each, ACCEPTED))
        yield from _checks(arguments[0], value)
    elif typing.get_origin(hint) is tuple:
        for item in value:
            yield from _checks(arguments[0], item)
    else:
        for each in arguments:
            if typing.get_origin(each) is Annotated:
                yield from _checks(each, value)


def _shown(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else repr(value)


def _each(value: Any, part: Any) -> str:
    return " of each value" if part is not value else ""
