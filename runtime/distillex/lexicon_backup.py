"""All lexicons of a directory in one tar file, and back: ``NAME/VERSION.lex``, ``NAME/CURRENT`` and ``SHA256SUMS``.

Of removed lexicons it has the last number, ``NAME/LAST``: after a restore, too, none is given twice.

Installed versions never change, so that a backup needs no lock and disturbs no push. A restore reads and checks the
whole file before it changes anything.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from distillex_matcher import Lexicon, LexiconError
from distillex_matcher.errors import UnknownLexiconError
from distillex_matcher.layout import write_durably
from distillex_matcher.lexicon_store import CURRENT_FILE, LAST_FILE, NAME_PATTERN, VERSION_PATTERN, LexiconStore

from distillex.errors import RefusedError

SUMS_FILE = "SHA256SUMS"
"""In the form that ``sha256sum --check`` reads."""
_UNPACKING = ".restore-"
_MEMBER = re.compile(
    rf"(?P<name>{NAME_PATTERN.pattern})/(?:(?P<number>{CURRENT_FILE}|{LAST_FILE})|(?P<version>{VERSION_PATTERN.pattern})\.lex)"
)


@dataclass(frozen=True)
class SavedLexicon:
    """A lexicon in a backup."""

    name: str
    in_use: int
    versions: list[int]
    problems: list[str] = field(default_factory=list)
    """What could not be read, and is not in the backup."""


@dataclass(frozen=True)
class RestoredLexicon:
    """A lexicon that is in use again."""

    name: str
    in_use: int
    saved_as: int
    """Its version in the backup; another one where a version of other content has that number."""


def write_backup(store: LexiconStore, file: IO[bytes]) -> list[SavedLexicon]:
    """Write every lexicon, with all versions that can be read.

    Where the version in use cannot be read, the newest that can stands for it, as it does in a server.

    Raises
    ------
    OSError
        Where the directory cannot be read, or the file not written.
    """
    sums: list[str] = []

    def add(archive: tarfile.TarFile, path: str, content: bytes) -> None:
        member = tarfile.TarInfo(path)
        member.size, member.mode = len(content), 0o644
        archive.addfile(member, io.BytesIO(content))
        sums.append(f"{hashlib.sha256(content).hexdigest()}  {path}\n")

    saved = []
    with tarfile.open(fileobj=file, mode="w|") as archive:
        for name in store.names():
            # Before the others: a push meanwhile is for the next backup, and may remove what it puts out of use.
            try:
                in_use, content, problems = _in_use(store, name)
            except UnknownLexiconError:
                continue  # removed meanwhile
            written = []
            if content is not None:
                add(archive, f"{name}/{in_use}.lex", content)
                written.append(in_use)
            for version in store.finished_versions(name):
                if version == in_use:
                    continue
                try:
                    add(archive, f"{name}/{version}.lex", _content(store, name, version))
                    written.append(version)
                except FileNotFoundError:
                    continue  # pruned meanwhile
                except LexiconError as error:
                    problems.append(str(error))
            written.sort()
            if written:
                in_use = in_use if in_use in written else written[-1]
                add(archive, f"{name}/{CURRENT_FILE}", f"{in_use}\n".encode())
            saved.append(SavedLexicon(name, in_use, written, problems))
        for name in store.once_removed():
            try:
                add(archive, f"{name}/{LAST_FILE}", f"{store.last_version(name)}\n".encode())
            except LexiconError as error:
                saved.append(SavedLexicon(name, 0, [], [str(error)]))
        add(archive, SUMS_FILE, "".join(sums).encode())
    return saved


def restore_backup(store: LexiconStore, file: IO[bytes]) -> list[RestoredLexicon]:
    """Put the lexicons of a backup into a directory, and use again of each what was in use; others stay as they are.

    Raises
    ------
    RefusedError
        Where the file is no backup, is cut short or was changed; nothing is changed then.
    OSError
        Where the directory cannot be written.
    """
    with _unpacking_folder(store.directory) as folder:
        lexicons, last = _unpack(file, folder, store.directory)
        for name, version in last.items():
            store.remember_last(name, version)
        return [
            RestoredLexicon(name, store.restore(name, versions, in_use), in_use)
            for name, (versions, in_use) in sorted(lexicons.items())
        ]


@contextmanager
def _unpacking_folder(directory: Path) -> Iterator[Path]:
    """Make a folder for one restore at a time, and remove what one left that was killed."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for left in directory.glob(f"{_UNPACKING}*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=_UNPACKING) as folder:
            yield Path(folder)


def _in_use(store: LexiconStore, name: str) -> tuple[int, bytes | None, list[str]]:
    """Return the version in use, its content, and why there is none.

    Raises
    ------
    UnknownLexiconError
        Where there is no such lexicon any more.
    """
    version = 0
    try:
        for _ in range(2):  # pushes may have removed it since CURRENT was read; then CURRENT names another one
            version = store.current_version(name)
            with suppress(FileNotFoundError):
                return version, _content(store, name, version), []
    except UnknownLexiconError:
        raise
    except LexiconError as error:
        return version, None, [str(error)]
    except OSError as error:
        return version, None, [f"lexicon {name!r}: its file {CURRENT_FILE} cannot be read: {error.strerror}"]
    return version, None, [f"lexicon {name}@{version}: it is in use, and its file is missing"]


def _content(store: LexiconStore, name: str, version: int) -> bytes:
    """Return the file of a version.

    Raises
    ------
    FileNotFoundError
        Where there is none.
    LexiconError
        Where it cannot be read or is broken; names the version.
    """
    try:
        content = (store.directory / name / f"{version}.lex").read_bytes()
        Lexicon.from_bytes(content)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise LexiconError(f"lexicon {name}@{version}: cannot be read: {error.strerror}") from None
    except LexiconError as error:
        raise LexiconError(f"lexicon {name}@{version}: {str(error).removeprefix('the lexicon file: ')}") from None
    return content


def _unpack(
    file: IO[bytes], folder: Path, directory: Path
) -> tuple[dict[str, tuple[dict[int, Path], int]], dict[str, int]]:
    """Return the versions of each lexicon, checked, with the one in use, and the last numbers of removed ones.

    What the directory has already is checked and linked: there may be no room to unpack it, and a push may remove it.
    """
    found: dict[str, str] = {}
    versions: dict[str, dict[int, Path]] = {}
    numbers: dict[str, dict[str, int]] = {CURRENT_FILE: {}, LAST_FILE: {}}
    sums: Mapping[str, str] | None = None
    try:
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for member in archive:
                parts = _MEMBER.fullmatch(member.name)
                opened = archive.extractfile(member) if member.isreg() else None
                if opened is None or (parts is None and member.name != SUMS_FILE):
                    raise RefusedError(f"{member.name!r} is not part of a backup of lexicons; nothing was changed")
                content = opened.read()
                if parts is None:
                    sums = dict(line.split("  ")[::-1] for line in content.decode("ascii").splitlines())
                    continue
                found[member.name] = hashlib.sha256(content).hexdigest()
                if parts["number"] is not None:
                    numbers[parts["number"]][parts["name"]] = int(content)
                    continue
                Lexicon.from_bytes(content)
                paths = versions.setdefault(parts["name"], {})
                paths[int(parts["version"])] = _link(directory / member.name, folder, content) or write_durably(
                    folder, "", content
                )
    except (tarfile.TarError, LexiconError, ValueError) as error:
        raise RefusedError(f"not a backup of lexicons, or a broken one ({error}); nothing was changed") from None
    if sums is None:
        raise RefusedError(f"the backup is cut short: it has no {SUMS_FILE}; nothing was changed")
    if changed := sorted(path for path in sums.keys() | found.keys() if sums.get(path) != found.get(path)):
        raise RefusedError(f"the backup was changed: {changed[0]} is not what {SUMS_FILE} says; nothing was changed")
    in_use = numbers[CURRENT_FILE]
    if broken := sorted(
        name for name in versions.keys() | in_use.keys() if in_use.get(name) not in versions.get(name, {})
    ):
        raise RefusedError(
            f"the backup does not have the version of {broken[0]!r} that was in use; nothing was changed"
        )
    return {name: (paths, in_use[name]) for name, paths in versions.items()}, numbers[LAST_FILE]


def _link(installed: Path, folder: Path, content: bytes) -> Path | None:
    """Return another name, in the folder, of an installed file that has this content; None where there is none."""
    link = folder / f"{installed.parent.name}-{installed.name}"
    try:
        link.hardlink_to(installed)
        if link.read_bytes() == content:
            return link
    except OSError:  # it is not there, or cannot be read, or the file system has no links
        pass
    link.unlink(missing_ok=True)
    return None
