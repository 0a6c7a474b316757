"""A configuration file, and what the command line sets over it, read into a class of settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from distillex_training.config.messages import lines, of_renamed, problems, shown
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
        For an unknown key, a missing or repeated one, or a value that is not accepted: a line for each.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), ConfigLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {shown(content)} is no configuration; keys and values are accepted")
    overrides = overrides or {}
    for key, value in overrides.items():
        _override(content, key, value)
    try:
        return TypeAdapter(kind).validate_python(content, context={"folder": path.parent})
    except ValidationError as error:

        def source(key: str) -> str:
            inside = next((each for each in overrides if key == each or key.startswith(f"{each}.")), None)
            return f"{path} with --set {inside}={overrides[inside]}" if inside else str(path)

        raise ConfigError(lines(problems(error, kind), source)) from None


def _override(content: dict[str, Any], key: str, value: str) -> None:
    where = f"--set {key}={value}"
    try:
        read = yaml.load(value, ConfigLoader)
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "problem", None) or "nested too deep"
        raise ConfigError(f"{where}: {value!r} is not YAML: {problem}") from None
    if renamed := of_renamed(key):
        raise ConfigError(f"{where}: {renamed}")
    *parents, last = key.split(".")
    level: Any = content
    for depth, parent in enumerate(parents):
        if isinstance(level, dict) and level.get(parent) is None:
            level[parent] = {}
        level = _below(level, parent, ".".join(parents[:depth]), where)
    if isinstance(level, list):
        level[_place(level, last, ".".join(parents), where)] = read
    elif isinstance(level, dict):
        level[last] = read
    else:
        raise ConfigError(f"{where}: {'.'.join(parents)} is {shown(level)}, which has no keys")


def _below(level: Any, part: str, above: str, where: str) -> Any:
    if isinstance(level, list):
        return level[_place(level, part, above, where)]
    if not isinstance(level, dict):
        raise ConfigError(f"{where}: {above} is {shown(level)}, which has no keys")
    return level[part]


def _place(level: list[Any], part: str, above: str, where: str) -> int:
    if not part.isdecimal() or int(part) >= len(level):
        raise ConfigError(f"{where}: {above} is a list; its places are {above}.0 to {above}.{len(level) - 1}")
    return int(part)
