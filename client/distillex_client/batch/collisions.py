"""Check that a run does not overwrite its inputs, before anything is opened."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from distillex_client.batch.sources import STANDARD_INPUT
from distillex_client.errors import WrongUse


def check_regular(path: Path) -> None:
    """Refuse to write to a directory, a device or a pipe: a file is written beside the name and then takes it.

    Raises
    ------
    WrongUse
        When it is one.
    """
    if path.is_dir():
        raise WrongUse(f"{path} is a directory, and a file would be written")
    parent = os.path.realpath(path.parent)
    special = parent in ("/dev", "/dev/fd") or parent.startswith("/proc/")
    if special or (path.exists() and not path.is_file()):
        raise WrongUse(f"{path} is not a regular file; without --output the results go to standard output")


def check_collisions(read: Sequence[str], written: Sequence[Path]) -> None:
    """Refuse a run that would write over an input, or two of whose outputs are the same file.

    Parameters
    ----------
    read
        Names of files, ``-`` among them.
    written
        Files and directories, those for a while included; none: standard output is written.

    Raises
    ------
    WrongUse
        When two are the same file, whatever their names: links, mounts, standard input from a file.
    """
    known: dict[object, Path] = {}
    for path in written:
        keys = _identities(path)
        found = next((known[key] for key in keys if key in known), None)
        if found is not None:
            raise WrongUse(f"{found} and {path} are the same file, and both would be written")
        known |= dict.fromkeys(keys, path)
    for name in read:
        keys = _identities_of_input(name)
        found = next((known[key] for key in keys if key in known), None)
        if found is None:
            found = next((path for path in written if name != STANDARD_INPUT and _holds(path, name)), None)
        if found is not None:
            raise WrongUse(f"{found} would be written and is an input, {name}; give it another name")
        if not written and keys & _identities_of_stream(sys.stdout):
            raise WrongUse(f"standard output is written to a file that is an input, {name}")


def _identities(path: Path) -> set[object]:
    """Return what makes a file itself: where it lies, and where it exists its number on its disk."""
    keys: set[object] = {os.path.realpath(path)}
    with contextlib.suppress(OSError):
        keys |= _number(path.stat())
    return keys


def _identities_of_input(name: str) -> set[object]:
    return _identities_of_stream(sys.stdin) if name == STANDARD_INPUT else _identities(Path(name))


def _identities_of_stream(stream: object) -> set[object]:
    try:
        return _number(os.fstat(stream.fileno()))  # type: ignore[attr-defined]
    except (OSError, AttributeError):
        return set()


def _number(status: os.stat_result) -> set[object]:
    return {(status.st_dev, status.st_ino)} if stat.S_ISREG(status.st_mode) else set()


def _holds(directory: Path, name: str) -> bool:
    if not directory.is_dir():
        return False
    itself = directory.stat()
    return any(os.path.samestat(itself, parent.stat()) for parent in Path(os.path.realpath(name)).parents)
