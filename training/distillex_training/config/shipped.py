"""The configurations that come with distillex: in the source tree, or packaged in the wheel."""

from __future__ import annotations

from pathlib import Path

from distillex_client.suggestions import nearest

from distillex_training.errors import ConfigError

SUFFIX = ".yaml"


def shipped_configs() -> Path:
    """Return their folder."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parent / "configs"


def find_config(path: Path) -> Path:
    """Return a configuration file: a path, or the name of one that comes with distillex.

    Raises
    ------
    ConfigError
        For one that is neither.
    """
    if path.is_file():
        return path
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; a YAML file is accepted")
    folder = shipped_configs()
    names = sorted(each.stem for each in folder.glob(f"*{SUFFIX}"))
    if path.parent == Path() and path.name.removesuffix(SUFFIX) in names:
        return folder / f"{path.name.removesuffix(SUFFIX)}{SUFFIX}"
    beside = sorted(each.name for each in path.parent.glob(f"*{SUFFIX}")) if path.parent.is_dir() else []
    meant = nearest(path.name, beside)
    found = str(path.parent / meant) if meant else nearest(path.stem, names)
    raise ConfigError(f"{path}: no such file{f'; did you mean {found}?' if found else ''}")
