"""The record of a run's settings and input checksums, compared when the run is resumed.

Paths stand for what they hold: the same content elsewhere is the same setting.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import platform
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from distillex.checksum import file_checksum
from distillex_matcher.layout import write_atomically

from distillex_training.config import PretrainRun, StudentRun, TeacherRun
from distillex_training.config.losses import LOSSES
from distillex_training.config.messages import RENAMED
from distillex_training.errors import RunDirectoryError

RECORD = "run.json"
RESOLVED = "config.yaml"
"""The whole configuration, defaults included: the command takes it."""
FORMAT = 1
CONTENT = "sha256"
MODEL_SUFFIXES = (".json", ".txt", ".safetensors", ".bin", ".model")
"""Of a folder that is a model, what decides what it computes: not its model card."""
KINDS: dict[str, type] = {kind.__name__: kind for kind in (PretrainRun, StudentRun, TeacherRun)}
PACKAGES = ("distillex", "torch", "transformers", "accelerate", "safetensors", "numpy", "pydantic")
LOSS_WEIGHTS = "distillation.losses"
PLACE = re.compile(r"(?<=\.)\d+(?=\.|$)")
PlainValue = bool | int | float | str | None
UNSET = object()
"""A setting that is not there."""


def record_of(run: Any, processes: int = 1) -> dict[str, Any]:
    """Return the settings of a run as plain values, by dotted key, paths as their content's checksum.

    Parameters
    ----------
    run
        Settings of :mod:`distillex_training.config`.
    processes
        A step of so many is one of a process that accumulates over as many times the batches.
    """
    settings = _plain(dict(_settings_of(run)))
    settings["loop.accumulate"] *= processes
    return {"format": FORMAT, "kind": type(run).__name__, "settings": settings}


def plain_settings(record: dict[str, Any]) -> dict[str, PlainValue]:
    """Return the settings of a record, each as one value: lists, and files with their checksums, as texts."""
    settings: dict[str, Any] = record["settings"]
    return {key: _text(value) if isinstance(value, (list, dict)) else value for key, value in settings.items()}


def circumstances(run: Any) -> dict[str, Any]:
    """Return what a run is started with besides its settings: versions of packages, the machine's kind, the time."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "begun": now(),
        "seed": run.loop.seed,
        "versions": {"python": platform.python_version(), **versions},
        "machine": f"{platform.system()} {platform.machine()}",
    }


def now() -> str:
    """Return the time, to the second, in UTC."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def write_record(directory: Path, record: dict[str, Any], run: Any) -> None:
    """Keep a record in a run directory, and the whole configuration beside it."""
    write_atomically(directory / RECORD, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    resolved = yaml.safe_dump(_nested(run), allow_unicode=True, sort_keys=False, width=100)
    write_atomically(directory / RESOLVED, resolved)


def read_record(directory: Path) -> dict[str, Any] | None:
    """Return the record that a run directory holds, None where there is none.

    Raises
    ------
    RunDirectoryError
        For one that cannot be read, or of another version.
    """
    path = directory / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunDirectoryError(f"{path}: not JSON ({error}); give another directory, or delete {directory}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise RunDirectoryError(f"{path}: written by another version; give another directory, or delete {directory}")
    return record


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return a line for each setting in which two records differ, with both values.

    A setting that the earlier record does not know, since it was written before there was one, had the value that is
    the default now; one of an earlier name is that of the present name; an empty list is no setting.
    """
    return [line for _, line in changed_settings(then, now)]


def changed_settings(then: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, str]]:
    """Return key and line of each setting in which two records differ, as :func:`differences` does."""
    if then["kind"] != now["kind"]:
        return [("kind", f"kind of run: {then['kind']} then, {now['kind']} now")]
    earlier = {RENAMED.get(key, key): value for key, value in then["settings"].items()}
    present = now["settings"]
    defaults = _defaults(then["kind"])
    for key in present:
        plain = PLACE.sub("#", key)
        if key not in earlier and plain in defaults and _is_of(key, earlier):
            earlier[key] = defaults[plain]
    return [
        (key, f"{key}: {_shown(earlier, key)} then, {_shown(present, key)} now")
        for key in dict.fromkeys((*earlier, *present))
        if _meaning(earlier.get(key, UNSET)) != _meaning(present.get(key, UNSET))
    ]


def content_checksum(path: Path) -> str | None:
    """Return the SHA-256 of a file, or of the files of a model's folder; None where there is nothing."""
    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(path.iterdir()):
            if file.is_file() and file.suffix in MODEL_SUFFIXES and not file.name.startswith("."):
                digest.update(f"{file.name} {content_checksum(file)}\n".encode())
        return digest.hexdigest()
    return file_checksum(path) if path.is_file() else None


def _settings_of(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for each in dataclasses.fields(settings):
        value, key = getattr(settings, each.name), prefix + each.name
        if each.metadata.get("without_effect"):
            continue
        if dataclasses.is_dataclass(value):
            yield from _settings_of(value, f"{key}.")
        elif each.metadata.get("names_content") and value is not None and Path(value).is_dir():
            yield key, _content(Path(value))
        elif isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)):
            for i, item in enumerate(value):
                yield from _settings_of(item, f"{key}.{i}.")
        elif isinstance(value, tuple):
            yield key, [_content(item) if isinstance(item, Path) else item for item in value]
        elif key == LOSS_WEIGHTS:
            yield from ((f"{key}.{name}", float(value.get(name, 0.0))) for name in LOSSES)
        else:
            yield key, _content(value) if isinstance(value, Path) else value


def _defaults(kind: str) -> dict[str, Any]:
    """Return the default of each setting that has one, by its key with ``#`` for a place in a list."""
    found: dict[str, Any] = {f"{LOSS_WEIGHTS}.{name}": 0.0 for name in LOSSES}
    if kind in KINDS:
        found |= _plain(dict(_defaults_of(KINDS[kind], "")))
    return found


def _defaults_of(kind: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(kind)
    for each in dataclasses.fields(kind):
        key, hint = prefix + each.name, hints[each.name]
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            hint = typing.get_args(hint)[0]
        if dataclasses.is_dataclass(hint):
            yield from _defaults_of(hint, f"{key}.")
        elif typing.get_origin(hint) is tuple and dataclasses.is_dataclass(typing.get_args(hint)[0]):
            yield from _defaults_of(typing.get_args(hint)[0], f"{key}.#.")
        elif key == LOSS_WEIGHTS or isinstance(each.default, Path):
            continue
        elif each.default is not dataclasses.MISSING:
            yield key, each.default


def _is_of(key: str, earlier: dict[str, Any]) -> bool:
    """Tell whether an earlier record has what a key is a setting of: of a list, the item."""
    item = re.match(r".*\.\d+\.", key)
    return item is None or any(each.startswith(item[0]) for each in earlier)


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def _nested(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {each.name: _nested(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [_nested(item) for item in value]
    if isinstance(value, dict):
        return {key: _nested(item) for key, item in value.items()}
    return str(value.absolute()) if isinstance(value, Path) else value


def _content(path: Path) -> dict[str, str | None]:
    return {"path": str(path), CONTENT: content_checksum(path)}


def _meaning(value: Any) -> Any:
    if value == []:
        return UNSET
    if isinstance(value, list):
        return [_meaning(item) for item in value]
    return value[CONTENT] if isinstance(value, dict) and CONTENT in value else value


def _shown(settings: dict[str, Any], key: str) -> str:
    return _text(settings[key]) if key in settings else "nothing"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict) and CONTENT in value:
        content = value[CONTENT]
        return f"{value['path']} ({'missing' if content is None else f'SHA-256 {content[:12]}…'})"
    return json.dumps(value, ensure_ascii=False)
