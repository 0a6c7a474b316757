"""The manifest of the shipped models, ``models/manifest.toml``: files with checksums, licence, scores, teacher.

The wheel leaves out the models that training alone needs, and the trained weights of the others.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillex_matcher.exported import WEIGHTS_FILE

from distillex.checksum import file_checksum
from distillex.errors import ManifestError
from distillex.locations import shipped_models
from distillex.signing import SIGNATURE_FILE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MANIFEST_FILE = "manifest.toml"
CARD_FILE = "README.md"
BESIDE_THE_FILES = (CARD_FILE, SIGNATURE_FILE)
"""What may lie in a model's folder without standing in the manifest."""


@dataclass(frozen=True)
class ModelFile:
    """A file of a model: its size in bytes, and its SHA-256 in hexadecimal digits."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Score:
    """What a model was measured at: ``value`` of ``measure`` (a share from 0 to 1) on ``set``."""

    measure: str
    value: float
    set: str


@dataclass(frozen=True)
class ManifestEntry:
    """A shipped model, named after its folder; ``taught_by`` is empty where no model taught it."""

    name: str
    licence: str
    taught_by: str
    scores: tuple[Score, ...]
    files: dict[str, ModelFile]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files.values())


def read_manifest(models: Path | None = None) -> dict[str, ManifestEntry]:
    """Return the models of a folder's manifest by name; by default of the shipped ones.

    Raises
    ------
    ManifestError
        Where there is no manifest, or one that cannot be read.
    """
    place = (models or shipped_models()) / MANIFEST_FILE
    try:
        tables = tomllib.loads(place.read_text(encoding="utf-8"))
        return {name: _entry(name, table) for name, table in tables.items()}
    except OSError as error:
        raise ManifestError(f"{place}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"{place}: no manifest of models: {type(error).__name__}: {error}") from error


def describe_files(folder: Path) -> dict[str, ModelFile]:
    """Return all files of a model's folder but its card and its signature, by name, sorted."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in BESIDE_THE_FILES:
            found[name] = ModelFile(path.stat().st_size, file_checksum(path))
    return found


def check_model(folder: Path, entry: ManifestEntry) -> tuple[str, ...]:
    """Check that a folder holds the files of a model and no others.

    Returns
    -------
    tuple[str, ...]
        What is not there, though the manifest names it, and extraction does not read: the trained weights, which the
        wheel leaves out.

    Raises
    ------
    ManifestError
        Where a file was changed, added or taken away; the message names each.
    """
    if not folder.is_dir():
        raise ManifestError(f"{folder}: {'not a folder' if folder.exists() else 'there is no such folder'}")
    found = describe_files(folder)
    gone = [name for name in entry.files if name not in found]
    left_out = tuple(name for name in gone if name == WEIGHTS_FILE and len(gone) < len(entry.files))
    changed = {
        "changed": [name for name, file in found.items() if name in entry.files and entry.files[name] != file],
        "added": [name for name in found if name not in entry.files],
        "taken away": [name for name in gone if name not in left_out],
    }
    if any(changed.values()):
        named = "; ".join(f"{how}: {', '.join(names)}" for how, names in changed.items() if names)
        raise ManifestError(f"{folder}: not what the manifest says of {entry.name}: {named}")
    return left_out


def _entry(name: str, table: dict[str, Any]) -> ManifestEntry:
    scores = tuple(Score(**score) for score in table["scores"])
    files = {file: ModelFile(**stated) for file, stated in table.get("files", {}).items()}
    return ManifestEntry(name, table["licence"], table["taught_by"], scores, files)
