"""What a run was begun with: its settings, and checksums of what it reads, kept in its directory and compared.

Paths stand for what they hold: the same content elsewhere is the same setting.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from distillex_matcher.layout import write_atomically

from distillex_training import processes

RECORD = "run.json"
FORMAT = 1
CONTENT = "sha256"
WITHOUT_EFFECT = {"without_effect": True}
"""Metadata of a setting that decides nothing about the weights."""
NAMES_CONTENT = {"names_content": True}
"""Metadata of a text that may name a folder, as a path does."""
MODEL_SUFFIXES = (".json", ".txt", ".safetensors", ".bin", ".model")
"""Of a folder that is a model, what decides what it computes: not its model card."""
PIECE = 1 << 20
UNSET = object()
"""A setting that is not there."""


class RunDirectoryError(ValueError):
    """A run directory holds another run, or one that is at work; the message says what differs and what to do."""


def record_of(run: Any) -> dict[str, Any]:
    """Return the settings of a run as plain values, by dotted key, paths as their content's checksum.

    Parameters
    ----------
    run
        A dataclass of :mod:`distillex_training.config`.
    """
    settings: dict[str, Any] = {}
    _collect(run, "", settings)
    # A step of N processes is one of a process that accumulates over N times as many batches.
    settings["loop.accumulate"] *= processes.count()
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return {"format": FORMAT, "kind": type(run).__name__, "settings": plain}


def write_record(directory: Path, record: dict[str, Any]) -> None:
    """Keep a record in a run directory."""
    write_atomically(directory / RECORD, json.dumps(record, ensure_ascii=False, indent=1) + "\n")


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
    """Return a line for each setting in which two records differ, with both values; an empty list is no setting.

    So a run goes on with a later version that knows of one more list.
    """
    if then["kind"] != now["kind"]:
        return [f"kind of run: {then['kind']} then, {now['kind']} now"]
    earlier, present = then["settings"], now["settings"]
    return [
        f"{key}: {_shown(earlier, key)} then, {_shown(present, key)} now"
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
    if not path.is_file():
        return None
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while piece := opened.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _collect(settings: Any, prefix: str, found: dict[str, Any]) -> None:
    for each in dataclasses.fields(settings):
        value, key = getattr(settings, each.name), prefix + each.name
        if each.metadata.get("without_effect"):
            continue
        if dataclasses.is_dataclass(value):
            _collect(value, f"{key}.", found)
        elif each.metadata.get("names_content") and value is not None and Path(value).is_dir():
            found[key] = _content(Path(value))
        elif isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)):
            for i, item in enumerate(value):
                _collect(item, f"{key}.{i}.", found)
        elif isinstance(value, tuple):
            found[key] = [_content(item) if isinstance(item, Path) else item for item in value]
        else:
            found[key] = _content(value) if isinstance(value, Path) else value


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
