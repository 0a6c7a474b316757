"""What a corpus says in terms of a model's entity types: which its own types may be, and which it does not label.

A declaration is a small YAML file::

    types:
      PER: name
      ORG: [company, organization, government]   # any of them: the corpus does not tell them apart
      RACE: none                                 # labelled, but no entity of the model
      misc: unknown                              # may be anything: says nothing of its characters
    open: [product, time]                        # not labelled at all: may stand anywhere outside the labelled spans
    trim: "《》"                                  # characters that the model's spans do not begin or end with

Training sums over all label sequences that are allowed (Tsuboi et al., *Training Conditional Random Fields Using
Incomplete Annotations*, COLING 2008); evaluation counts any of the types as right, and leaves what is open out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distillex_training.data.records import GoldSpan, OpenSpan, Problem, Record, RecordFile
from distillex_training.errors import DataError

NONE, UNKNOWN = "none", "unknown"
ALL = "all"
KEYS = ("types", "open", "trim")


@dataclass(frozen=True)
class Declaration:
    """A corpus's types in terms of a model's."""

    types: Mapping[str, tuple[str, ...] | None]
    """For each type of the corpus those that it may be; empty: no entity of the model; None: may be anything."""
    open: tuple[str, ...] = ()
    """Types of the model that the corpus does not label."""
    trim: str = ""
    """Characters that are taken off both ends of a span."""

    @property
    def model_types(self) -> tuple[str, ...]:
        """Every type of the model that the corpus can tell of, sorted."""
        named = {kind for allowed in self.types.values() for kind in allowed or ()}
        return tuple(sorted(named | set(self.open)))

    def groups(self) -> list[tuple[str, ...]]:
        """Types that the corpus does not tell apart, each group sorted; a type that it does stands alone."""
        groups: list[set[str]] = []
        for allowed in self.types.values():
            if allowed:
                joined = set(allowed).union(*(group for group in groups if group & set(allowed)))
                groups = [group for group in groups if not group & joined] + [joined]
        return sorted(tuple(sorted(group)) for group in groups)

    def of(self, span: GoldSpan) -> tuple[str, ...] | None:
        """Return the types that a span of the corpus may have; none: no entity; None: may be anything."""
        choices = [self.types[kind] for kind in span.types]
        if any(choice is None for choice in choices):
            return None
        return tuple(dict.fromkeys(kind for choice in choices for kind in choice or ()))

    def for_model(self, entity_types: Iterable[str]) -> Declaration:
        """Return what it says of these types alone: the others are no entities."""
        known = frozenset(entity_types)

        def kept(kinds: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(kind for kind in kinds if kind in known)

        types = {kind: None if allowed is None else kept(allowed) for kind, allowed in self.types.items()}
        return dataclasses.replace(self, types=types, open=kept(self.open))

    def apply(self, file: RecordFile, entity_types: tuple[str, ...] = ()) -> RecordFile:
        """Return the records in terms of the model's types; a type that is not declared is a problem of its line.

        ``entity_types``: all types of the model, which a span of an unknown kind may be; by default those of
        ``model_types``.
        """
        problems = list(file.problems)
        records = []
        for record in file.records:
            undeclared = sorted({kind for span in record.spans for kind in span.types} - set(self.types))
            if undeclared:
                declared = ", ".join(self.types)
                reason = f"the declaration does not know the type {undeclared[0]!r}; it knows {declared}"
                problems.append(Problem(record.path, record.line, reason))
            else:
                records.append(self._applied(record, entity_types or self.model_types))
        types = {kind for record in records for span in record.spans for kind in span.types}
        return RecordFile(file.path, records, sorted(problems, key=lambda p: p.line), file.blank_lines, types)

    def _applied(self, record: Record, entity_types: tuple[str, ...]) -> Record:
        spans: list[GoldSpan] = []
        stretches = [each for stretch in record.open for each in self._opened(stretch, entity_types)]
        for span in record.spans:
            allowed = self.of(span)
            if allowed is None:
                stretches.append(OpenSpan(span.start, span.end, entity_types))
                continue
            start, end = trimmed(record.text, span.start, span.end, self.trim)
            if allowed and start < end:
                spans.append(GoldSpan(start, end, allowed[0], allowed[1:], span.score))
        if self.open:
            stretches.append(OpenSpan(0, len(record.text), self.open))
        return dataclasses.replace(record, spans=tuple(spans), open=tuple(stretches))

    def _opened(self, stretch: OpenSpan, entity_types: tuple[str, ...]) -> Iterator[OpenSpan]:
        """Yield an open stretch in terms of the model's types; a type that is not declared is the model's own."""
        kinds: dict[str, None] = {}
        for kind in stretch.types:
            allowed = self.types.get(kind, (kind,))
            kinds |= dict.fromkeys(entity_types if allowed is None else allowed)
        if kinds:
            yield dataclasses.replace(stretch, types=tuple(kinds))


def trimmed(text: str, start: int, end: int, characters: str) -> tuple[int, int]:
    """Return the bounds of a span without these characters at its ends; equal ones where nothing else is in it."""
    while start < end and text[start] in characters:
        start += 1
    while start < end and text[end - 1] in characters:
        end -= 1
    return start, end


def read_declaration(path: Path, entity_types: tuple[str, ...] = ()) -> Declaration:
    """Read a declaration.

    Parameters
    ----------
    path
        YAML file.
    entity_types
        Types of the model: ``open: all`` means them, and others are refused. Without them ``open: all`` means every
        type that the declaration names.

    Raises
    ------
    DataError
        For a file that cannot be read, an unknown key, a type that the model does not have.
    """
    declaration = _read(path, entity_types)
    for kind in declaration.model_types:
        if entity_types and kind not in entity_types:
            raise DataError(f"{path}: {kind!r} is no type of the model; its types: {', '.join(entity_types)}")
    return declaration


def read_for_measuring(path: Path, entity_types: Sequence[str]) -> Declaration:
    """Read a declaration for a model that need not have all of its types; ``open: all`` means those of the model too.

    Raises
    ------
    DataError
        As :func:`read_declaration`; for one that names no type of the model.
    """
    declaration = _read(path, tuple(entity_types))
    if not declaration.for_model(entity_types).groups():
        named = ", ".join(declaration.model_types)
        raise DataError(f"{path}: labels no type of the model ({', '.join(entity_types)}); it names {named}")
    return declaration


def _read(path: Path, entity_types: tuple[str, ...]) -> Declaration:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not isinstance(content.get("types"), dict):
        raise DataError(f"{path}: expected the key 'types' with the types of the corpus")
    if unknown := [key for key in content if key not in KEYS]:
        raise DataError(f"{path}: unknown key {unknown[0]!r}; accepted keys: {', '.join(KEYS)}")
    for kind in content["types"]:
        if not isinstance(kind, str):
            raise DataError(f"{path}: types: YAML reads a name as {kind!r}: write it in quotes")
    types = {kind: _choices(path, kind, value) for kind, value in content["types"].items()}
    declared = sorted({each for allowed in types.values() for each in allowed or ()})
    trim = content.get("trim", "")
    if not isinstance(trim, str):
        raise DataError(f"{path}: trim: {trim!r} is no text")
    value = content.get("open", [])
    everything = tuple(entity_types or declared)
    return Declaration(types, everything if value == ALL else tuple(_names(path, "open", value)), trim)


def _choices(path: Path, kind: str, value: Any) -> tuple[str, ...] | None:
    if value == UNKNOWN:
        return None
    if value == NONE:
        return ()
    return tuple(_names(path, f"types: {kind}", [value] if isinstance(value, str) else value))


def _names(path: Path, key: str, value: Any) -> Iterator[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
        raise DataError(f"{path}: {key}: {value!r} is neither a type nor a list of types (none, unknown, all)")
    yield from dict.fromkeys(value)
