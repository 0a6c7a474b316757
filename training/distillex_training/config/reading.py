"""A configuration file, and what the command line sets over it, read into a class of settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from distillex_training.config.messages import of_renamed, problems, shown
from distillex_training.errors import ConfigError

T = TypeVar("T")
NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")
"""``2e-3`` is a number in YAML 1.2, and a text in the 1.1 of PyYAML."""


class ConfigLoader(yaml.SafeLoader):  # type: ignore[misc]
    """A safe loader that refuses a key that stands twice; YAML's own takes the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Read keys and values."""
        keys = [key.value for key, _ in node.value]
        repeated = next((key for key in keys if keys.count(key) > 1), None)
        if repeated is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {repeated!r} stands twice", node.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


ConfigLoader.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+0123456789"))


def read_config(path: Path, kind: type[T], overrides: dict[str, str] | None = None) -> T:
    """Read a YAML file into a class of settings.

    Parameters
    ----------
    path
        The file.
    kind
        Such as :class:`~distillex_training.config.StudentRun`.
    overrides
        Dotted keys to YAML values, such as ``{"loop.seed": "2"}``; they win over the file. A number in a key is a
        place in a list.

    Raises
    ------
    ConfigError
        For unknown keys, missing or repeated ones, and values that are not accepted: all of them.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), ConfigLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {shown(content)} is no configuration; keys and values are accepted")
    overrides = overrides or {}
    mistakes = []
    for key, value in overrides.items():
        try:
            _override(content, key, value)
        except ConfigError as error:
            mistakes.append((f"{key}={value}", str(error)))
    try:
        run = TypeAdapter(kind).validate_python(content, context={"folder": path.parent})
    except ValidationError as error:
        for wrong, said in problems(error, kind):
            inside = next((each for each in overrides if wrong == each or wrong.startswith(f"{each}.")), None)
            mistakes.append((f"{inside}={overrides[inside]}" if inside else "", said))
    if mistakes:
        raise ConfigError.of(path, mistakes)
    return run


def _override(content: dict[str, Any], key: str, value: str) -> None:
    try:
        read = yaml.load(value, ConfigLoader)
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "problem", None) or "nested too deep"
        raise ConfigError(f"{value!r} is not YAML: {problem}") from None
    if renamed := of_renamed(key):
        raise ConfigError(renamed)
    *parents, last = key.split(".")
    level: Any = content
    for depth, parent in enumerate(parents):
        if isinstance(level, dict) and level.get(parent) is None:
            level[parent] = {}
        level = _below(level, parent, ".".join(parents[:depth]))
    if isinstance(level, list):
        level[_place(level, last, ".".join(parents))] = read
    elif isinstance(level, dict):
        level[last] = read
    else:
        raise ConfigError(f"{'.'.join(parents)} is {shown(level)}, which has no keys")


def _below(level: Any, part: str, above: str) -> Any:
    if isinstance(level, list):
        return level[_place(level, part, above)]
    if not isinstance(level, dict):
        raise ConfigError(f"{above} is {shown(level)}, which has no keys")
    return level[part]


def _place(level: list[Any], part: str, above: str) -> int:
    if not part.isdecimal() or int(part) >= len(level):
        raise ConfigError(f"{above} is a list; its places are {above}.0 to {above}.{len(level) - 1}")
    return int(part)
