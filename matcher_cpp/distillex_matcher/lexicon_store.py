"""Named, versioned lexicons in a directory: ``NAME/VERSION.lex`` and ``NAME/CURRENT``.

Writers put a new version beside the old ones and then replace ``CURRENT`` by an atomic rename; readers look at
``CURRENT`` before each batch and keep what they hold until it changes. Nothing in the directory can run.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from distillex_matcher._core import Lexicon, LexiconError
from distillex_matcher.layout import write_atomically

BASE_NAME = "base"
NAME_PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,63}")
CURRENT_FILE = "CURRENT"


class UnknownLexiconError(LexiconError):
    """No lexicon of that name, or no such version, is installed."""


class LexiconNameError(LexiconError):
    """A name does not match the closed pattern."""


@dataclass(frozen=True)
class InstalledLexicon:
    """A lexicon in use, and the label by which answers name it."""

    name: str
    version: int
    lexicon: Lexicon

    @property
    def label(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"


def check_name(name: str) -> str:
    """Return the name, or raise LexiconNameError where it does not match the closed pattern."""
    if not NAME_PATTERN.fullmatch(name):
        raise LexiconNameError(
            f"{name[:80]!r} is not a lexicon name: a small letter, then up to 63 of a-z, 0-9, '_' and '-' are accepted"
        )
    return name


class LexiconStore:
    """The lexicons of one directory.

    Parameters
    ----------
    directory
        Holds one folder a lexicon. It need not exist before the first :meth:`install`.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self._folder = str(self.directory)
        self._open: dict[str, InstalledLexicon] = {}

    def names(self) -> list[str]:
        """Names of all installed lexicons, sorted."""
        if not self.directory.is_dir():
            return []
        return sorted(path.parent.name for path in self.directory.glob(f"*/{CURRENT_FILE}"))

    def versions(self, name: str) -> list[int]:
        """Installed versions of a lexicon, ascending."""
        folder = self.directory / check_name(name)
        return sorted(int(path.stem) for path in folder.glob("*.lex") if path.stem.isdigit())

    def current_version(self, name: str) -> int:
        """Version in use.

        Raises
        ------
        UnknownLexiconError
            Where nothing of that name is installed; lists what is.
        """
        check_name(name)
        path = f"{self._folder}/{name}/{CURRENT_FILE}"
        try:
            # Bare system calls: this is on the path of every request, and costs 3 µs in place of pathlib's 20.
            # A file's time stamp would not do: two pushes within one tick of the clock can leave it unchanged.
            descriptor = os.open(path, os.O_RDONLY)
            try:
                return int(os.read(descriptor, 32))
            finally:
                os.close(descriptor)
        except (FileNotFoundError, NotADirectoryError):
            known = ", ".join(self.names()) or "none"
            raise UnknownLexiconError(f"no lexicon {name!r} is installed; installed lexicons: {known}") from None
        except ValueError:
            raise LexiconError(f"{path}: does not hold a version number") from None

    def current(self, name: str) -> InstalledLexicon:
        """Open the version in use; for one that is open already this costs a read of ``CURRENT``.

        Raises
        ------
        LexiconError
            Where there is none, or its file is broken (:meth:`last_opened` then still has the one before).
        """
        version = self.current_version(name)
        held = self._open.get(name)
        if held is None or held.version != version:
            held = self._open[name] = self.open(name, version)
        return held

    def last_opened(self, name: str) -> InstalledLexicon | None:
        """Return what :meth:`current` returned last for this name."""
        return self._open.get(name)

    def open(self, name: str, version: int) -> InstalledLexicon:
        """Open one version."""
        path = self.directory / check_name(name) / f"{version}.lex"
        if not path.exists():
            raise UnknownLexiconError(f"lexicon {name!r} has no version {version}; versions: {self.versions(name)}")
        return InstalledLexicon(name, version, Lexicon.load(path))

    def install(self, name: str, content: bytes, check: Callable[[Lexicon], None]) -> InstalledLexicon:
        """Install a compiled lexicon as a new version and make it the one in use.

        Parameters
        ----------
        name
            The lexicon's name.
        content
            Bytes of a compiled lexicon file.
        check
            Called with the opened lexicon; raises to refuse it (``Featurizer.check_types``).

        Raises
        ------
        LexiconError
            For a bad name, a broken file or one that ``check`` refuses; nothing is changed then.
        """
        folder = self.directory / check_name(name)
        with self._lock(name):
            descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                try:
                    check(Lexicon.load(temporary))
                except LexiconError as error:
                    raise LexiconError(str(error).replace(f"{temporary}: ", "the lexicon file is ")) from None
                version = max(self.versions(name), default=0) + 1
                Path(temporary).chmod(0o644)
                Path(temporary).replace(folder / f"{version}.lex")
            finally:
                Path(temporary).unlink(missing_ok=True)
            write_atomically(folder / CURRENT_FILE, f"{version}\n")
        return self.open(name, version)

    def rollback(self, name: str, version: int | None = None) -> int:
        """Use an older version again: the given one, or the one before the version in use.

        Raises
        ------
        UnknownLexiconError
            Where there is no such version.
        """
        with self._lock(name):
            present = self.current_version(name)
            versions = self.versions(name)
            if version is None:
                version = max((v for v in versions if v < present), default=None)
            if version is None or version not in versions:
                raise UnknownLexiconError(f"lexicon {name!r} has no version to go back to; versions: {versions}")
            write_atomically(self.directory / name / CURRENT_FILE, f"{version}\n")
        return version

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        folder = self.directory / check_name(name)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
