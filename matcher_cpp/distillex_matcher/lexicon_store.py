"""Named, versioned lexicons in a directory: ``NAME/VERSION.lex`` and ``NAME/CURRENT``; of removed ones ``NAME/LAST``.

Writers put a new version beside the old ones and then replace ``CURRENT`` by an atomic rename; readers look at
``CURRENT`` before each batch and keep what they hold until it changes. Nothing in the directory can run.

Errors name lexicons and versions, never paths: they reach callers of a server.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from distillex_matcher._core import Lexicon
from distillex_matcher.errors import LexiconError, LexiconNameError, UnknownLexiconError
from distillex_matcher.layout import write_atomically, write_durably

BASE_NAME = "base"
NAME_PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,63}")
CURRENT_FILE = "CURRENT"
LAST_FILE = "LAST"
"""Holds the highest version that a name ever had before it was removed: no number stands for two contents."""
VERSION_PATTERN = re.compile(r"[1-9][0-9]{0,8}")
_VERSION_FILE = re.compile(rf"({VERSION_PATTERN.pattern})\.lex")
_VERSION_CONTENT = re.compile(VERSION_PATTERN.pattern.encode())
_PENDING_FILE = re.compile(rf"\.pending-({VERSION_PATTERN.pattern})")
"""Marks a version that is not in use yet; after a killed push it shows which version was never used."""
MOST_OPEN_BYTES = 512 * 2**20
_TEMPORARY_FILES = (".new-", f".{CURRENT_FILE}.", f".{LAST_FILE}.")


@dataclass(frozen=True)
class InstalledLexicon:
    """A lexicon in use, and the label by which answers name it."""

    name: str
    version: int
    lexicon: Lexicon
    removed: tuple[int, ...] = ()
    """Older versions that went when this one came."""

    @property
    def label(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class LexiconOverview:
    """A line of a list of lexicons."""

    name: str
    version: int | None
    """In use; None where ``CURRENT`` does not say."""
    versions: list[int]
    words: int | None
    """In use; None where they cannot be read."""
    problem: str = ""
    """What is wrong, if anything is."""
    trust: str | float | None = None
    """How far its words are obeyed that have no trust of their own; None: not said, or not to be read."""


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
    pinned
        Lexicon → the version in use here, whatever ``CURRENT`` says.
    most_bytes
        Of the files of lexicons that are held open. Beyond, those go that were not asked for the longest, and are read
        again when they are; the base lexicon stays.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        pinned: Mapping[str, int] | None = None,
        *,
        most_bytes: int = MOST_OPEN_BYTES,
    ) -> None:
        self.directory = Path(directory)
        self._pinned = dict(pinned or {})
        self._folder = str(self.directory)
        self._most_bytes = most_bytes
        self._open: OrderedDict[str, InstalledLexicon] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._failed: dict[str, tuple[int, tuple[int, ...], str]] = {}

    def names(self) -> list[str]:
        """Names of all installed lexicons, sorted."""
        return self._folders_with(CURRENT_FILE)

    def once_removed(self) -> list[str]:
        """Names that were removed at some time, sorted; some may be installed again."""
        return self._folders_with(LAST_FILE)

    def last_version(self, name: str) -> int:
        """Highest version that the name had when it was removed last; 0 where it never was."""
        try:
            content = (self.directory / check_name(name) / LAST_FILE).read_bytes().strip()
        except (FileNotFoundError, NotADirectoryError):
            return 0
        if not _VERSION_CONTENT.fullmatch(content):
            raise LexiconError(
                f"lexicon {name!r}: its file {LAST_FILE} holds {content[:32]!r}, which is not a version number"
            )
        return int(content)

    def versions(self, name: str) -> list[int]:
        """Installed versions of a lexicon, ascending."""
        files = (_VERSION_FILE.fullmatch(path.name) for path in (self.directory / check_name(name)).glob("*.lex"))
        return sorted(int(match[1]) for match in files if match)

    def finished_versions(self, name: str) -> list[int]:
        """Return :meth:`versions` without one that a push is about to put in use, or was when it was killed."""
        folder = self.directory / check_name(name)
        return [version for version in self.versions(name) if not (folder / f".pending-{version}").exists()]

    def overview(self) -> list[LexiconOverview]:
        """Return every installed lexicon; one that cannot be read is no reason to be silent about the others."""
        return [self._overview_of(name) for name in self.names()]

    def current_version(self, name: str) -> int:
        """Version in use.

        Raises
        ------
        UnknownLexiconError
            Where nothing of that name is installed. What else is installed is not the callers' business.
        LexiconError
            Where ``CURRENT`` does not hold a version number.
        """
        check_name(name)
        if name in self._pinned:
            return self._pinned[name]
        try:
            # Bare system calls: this is on the path of every request, and costs 3 µs in place of pathlib's 20.
            # A file's time stamp would not do: two pushes within one tick of the clock can leave it unchanged.
            descriptor = os.open(f"{self._folder}/{name}/{CURRENT_FILE}", os.O_RDONLY)
            try:
                content = os.read(descriptor, 32).strip()
            finally:
                os.close(descriptor)
        except (FileNotFoundError, NotADirectoryError):
            self._let_go_of(name)
            raise UnknownLexiconError(f"no lexicon {name!r} is installed") from None
        if not _VERSION_CONTENT.fullmatch(content):
            raise LexiconError(
                f"lexicon {name!r}: its file {CURRENT_FILE} holds {content!r}, which is not a version number"
            )
        return int(content)

    def current(self, name: str) -> InstalledLexicon:
        """Open the version in use; for one that is open already this costs a read of ``CURRENT``.

        Raises
        ------
        UnknownLexiconError
            Where nothing of that name is installed.
        LexiconError
            Where the version in use is missing or broken; :meth:`fallback` has another one.
        """
        version = self.current_version(name)
        held = self._open.get(name)
        if held is None or held.version != version:
            return self._keep(self._open_current(name, version))
        with suppress(KeyError):  # another thread has let it go
            self._open.move_to_end(name)
        return held

    def held(self) -> list[str]:
        """Names of the lexicons that are held open, the one asked for last at the end."""
        return list(self._open)

    def let_go_of_removed(self) -> None:
        """Hold no lexicon open that was removed; :meth:`current` does so for the one that is asked for."""
        for name in self.held():
            if name != BASE_NAME:
                with suppress(LexiconError, OSError):
                    self.current_version(name)

    def fallback(self, name: str) -> InstalledLexicon | None:
        """Return what answers while the version in use is broken: the one opened last, else the newest readable one.

        None where there is none, and for a pinned version. Processes that were started before and after agree, but for
        a version rolled back to.
        """
        held = self._open.get(name)
        for version in reversed([] if held is not None or name in self._pinned else self.versions(name)):
            with suppress(LexiconError):
                held = self._keep(self.open(name, version))
                break
        return held

    def open(self, name: str, version: int) -> InstalledLexicon:
        """Open one version.

        Raises
        ------
        LexiconError
            Where it is missing or broken.
        """
        path = self.directory / check_name(name) / f"{version}.lex"
        try:
            return InstalledLexicon(name, version, Lexicon.load(path))
        except LexiconError as error:
            reason = str(error).split(f"{version}.lex: ", 1)[-1]
            raise LexiconError(f"lexicon {name}@{version}: {reason}") from None

    def install(
        self,
        name: str,
        content: bytes,
        check: Callable[[Lexicon], None],
        *,
        replace_base: bool = False,
        keep: int | None = None,
    ) -> InstalledLexicon:
        """Install a compiled lexicon as a new version and make it the one in use.

        Parameters
        ----------
        name
            The lexicon's name.
        content
            Bytes of a compiled lexicon file.
        check
            Called with the opened lexicon; raises to refuse it (``Featurizer.check_types``).
        replace_base
            Replace the words of the base lexicon, if that is the name.
        keep
            Then remove older versions, as :meth:`prune` does; the version that this one replaces stays. None: all stay.

        Raises
        ------
        LexiconError
            For a bad name, a file that is broken or holds no word, one that ``check`` refuses, or a base lexicon that
            is not meant to be replaced; nothing is changed then.
        """
        check_name(name)
        lexicon = _not_empty(name, content)
        check(lexicon)
        if name == BASE_NAME and not replace_base:
            self._refuse_to_replace_base(len(lexicon))
        with self._lock(name) as folder:
            replaced = set()
            with suppress(LexiconError):
                replaced = {self.current_version(name)}
            version = self._put_in_use(name, folder, content)
            removed = []
            # It is in use now, whether older ones can be removed or not.
            with suppress(OSError):
                removed = [] if keep is None else self._remove_old(folder, name, keep, replaced)
        return InstalledLexicon(name, version, lexicon, tuple(removed))

    def install_missing(self, name: str, content: bytes) -> InstalledLexicon | None:
        """Install a compiled lexicon where none of that name is in use; return None where one is, which stays.

        Of several who do so at once one installs. A version without ``CURRENT``, which a copy left that was broken off,
        is in use by nobody: it stays, and the new one gets the number after it.

        Raises
        ------
        LexiconError
            For a bad name, or a file that is broken or holds no word; nothing is changed then.
        """
        if (self.directory / check_name(name) / CURRENT_FILE).exists():
            return None
        lexicon = _not_empty(name, content)
        with self._lock(name) as folder:
            if (folder / CURRENT_FILE).exists():
                return None
            version = self._put_in_use(name, folder, content)
        return InstalledLexicon(name, version, lexicon)

    def rollback(self, name: str, version: int | None = None) -> int:
        """Use an older version again: the given one, or the one before the version in use.

        Raises
        ------
        UnknownLexiconError
            Where there is no such lexicon (lists those that are installed) or version.
        LexiconError
            Where that version cannot be read.
        """
        self._require(name)
        with self._lock(name) as folder:
            versions = self.versions(name)
            if version is None:
                present = self.current_version(name)
                version = max((v for v in versions if v < present), default=None)
            if version is None or version not in versions:
                raise UnknownLexiconError(f"lexicon {name!r} has no version to go back to; versions: {versions}")
            self.open(name, version)
            write_atomically(folder / CURRENT_FILE, f"{version}\n")
        return version

    def prune(self, name: str, keep: int) -> list[int]:
        """Remove old versions; return those removed.

        The ``keep`` newest stay, and the one in use, and the one before it, to which :meth:`rollback` goes.

        Raises
        ------
        UnknownLexiconError
            Where there is no such lexicon (lists those that are installed).
        LexiconError
            Where ``keep`` is less than 1, or ``CURRENT`` does not say which version is in use.
        """
        if keep < 1:
            raise LexiconError(f"{keep} versions cannot be kept; at least 1 is")
        self._require(name)
        with self._lock(name) as folder:
            return self._remove_old(folder, name, keep, set())

    def remove(self, name: str) -> list[int]:
        """Remove a lexicon with all of its versions; return those. Its numbers are not given again.

        Raises
        ------
        UnknownLexiconError
            Where there is no such lexicon (lists those that are installed).
        LexiconError
            For the base lexicon, which is the lowest layer.
        """
        if name == BASE_NAME:
            raise LexiconError(f"the lexicon {BASE_NAME!r} is the lowest layer and cannot be removed")
        self._require(name)
        with self._lock(name) as folder:
            self._require(name)  # nobody else has removed it meanwhile
            versions = self.versions(name)
            write_atomically(folder / LAST_FILE, f"{self._highest(name)}\n")
            # From here on it is unknown; what a kill leaves of the rest goes with the next command on the name.
            (folder / CURRENT_FILE).unlink()
        self._let_go_of(name)
        return versions

    def remember_last(self, name: str, version: int) -> None:
        """Give a name, installed or not, higher versions than this from now on."""
        with self._lock(name) as folder:
            if version > self._highest(name):
                write_atomically(folder / LAST_FILE, f"{version}\n")

    def restore(self, name: str, files: Mapping[int, Path], in_use: int) -> int:
        """Put versions that were installed once back into their places, and use one of them; return its number.

        A place where a version of other content lies keeps it; if that is the place of the one in use, it gets a new
        number. A file that cannot be read any more is replaced. Versions that lie there beside these stay.

        Parameters
        ----------
        name
            The lexicon's name.
        files
            Version → a compiled lexicon that can be read, on the file system of the directory; they are moved.
        in_use
            One of them, or one that is installed.

        Raises
        ------
        LexiconError
            For a bad name, or where the version to be used is neither.
        """
        with self._lock(name) as folder:
            for version, file in files.items():
                place = folder / f"{version}.lex"
                if not self._is_another(name, version, file):
                    file.replace(place)
                elif version == in_use:
                    in_use = max(self._highest(name), *files) + 1
                    file.replace(folder / f"{in_use}.lex")
            if in_use not in self.versions(name):
                raise UnknownLexiconError(f"lexicon {name!r} has no version {in_use}; versions: {self.versions(name)}")
            write_atomically(folder / CURRENT_FILE, f"{in_use}\n")
        return in_use

    def _put_in_use(self, name: str, folder: Path, content: bytes) -> int:
        """Write a new version and make it the one in use; return its number. The caller holds the lock."""
        version = self._highest(name) + 1
        temporary = write_durably(folder, _TEMPORARY_FILES[0], content)
        (folder / f".pending-{version}").touch()
        temporary.replace(folder / f"{version}.lex")
        write_atomically(folder / CURRENT_FILE, f"{version}\n")
        return version

    def _let_go_of(self, name: str) -> None:
        for kept in (self._open, self._sizes, self._failed):
            kept.pop(name, None)

    def _folders_with(self, file: str) -> list[str]:
        folders = (path.parent.name for path in self.directory.glob(f"*/{file}"))
        return sorted(name for name in folders if NAME_PATTERN.fullmatch(name))

    def _highest(self, name: str) -> int:
        """Return the highest version that a name has or had."""
        return max([*self.versions(name), self.last_version(name)])

    def _is_another(self, name: str, version: int, file: Path) -> bool:
        """Tell whether the place of a version has a readable one of other content than a file's."""
        try:
            self.open(name, version)
        except LexiconError:
            return False
        return (self.directory / name / f"{version}.lex").read_bytes() != file.read_bytes()

    def _remove_old(self, folder: Path, name: str, keep: int, spared: set[int]) -> list[int]:
        versions = self.versions(name)
        in_use = self.current_version(name)
        before = [version for version in versions if version < in_use]
        kept = {in_use, *before[-1:], *versions[-keep:], *spared}
        removed = [version for version in versions if version not in kept]
        for version in removed:
            (folder / f"{version}.lex").unlink()
        return removed

    def _overview_of(self, name: str) -> LexiconOverview:
        version = words = trust = None
        problem = ""
        try:
            version = self.current_version(name)
            # Not kept open: a list is no reason to hold every lexicon in memory.
            lexicon = self.open(name, version).lexicon
            words, trust = len(lexicon), lexicon.trust
        except LexiconError as error:
            problem = str(error)
        except OSError as error:
            problem = f"lexicon {name!r}: {error.strerror}"
        return LexiconOverview(name, version, self.versions(name), words, problem, trust)

    def _open_current(self, name: str, version: int) -> InstalledLexicon:
        # A file that cannot be used is read once, not at every request.
        file = self._identity(name, version)
        failed = self._failed.get(name)
        if failed is not None and failed[:2] == (version, file):
            raise LexiconError(failed[2])
        try:
            opened = self.open(name, version)
        except LexiconError as error:
            now = self.current_version(name)
            if now != version:  # it was replaced and pruned since CURRENT was read
                return self._open_current(name, now)
            self._failed[name] = (version, file, str(error))
            raise
        self._failed.pop(name, None)
        return opened

    def _keep(self, opened: InstalledLexicon) -> InstalledLexicon:
        self._open[opened.name] = opened
        self._open.move_to_end(opened.name)
        self._sizes[opened.name] = (0, *self._identity(opened.name, opened.version)[1:2])[-1]
        for name in self.held()[:-1]:
            if sum(self._sizes.get(each, 0) for each in self.held()) <= self._most_bytes:
                break
            if name != BASE_NAME:
                self._open.pop(name, None)
        return opened

    def _identity(self, name: str, version: int) -> tuple[int, ...]:
        try:
            status = (self.directory / name / f"{version}.lex").stat()
        except OSError:
            return ()
        return (status.st_ino, status.st_size, status.st_mtime_ns)

    def _refuse_to_replace_base(self, words: int) -> None:
        if not self.versions(BASE_NAME):
            return
        try:
            present = f"{len(self.open(BASE_NAME, self.current_version(BASE_NAME)).lexicon):,}"
        except (LexiconError, OSError):
            present = "present"
        raise LexiconError(
            f"a push to {BASE_NAME} would replace its {present} words by {words:,}; push under another name, which "
            f"requests can use on top of {BASE_NAME}, or give --replace-base "
            '("replace_base": true in COMMAND)'
        )

    def _require(self, name: str) -> None:
        """Tell an administrator what is installed where a name is not."""
        try:
            self.current_version(name)
        except UnknownLexiconError as error:
            known = ", ".join(self.names()) or "none"
            raise UnknownLexiconError(f"{error}; installed lexicons: {known}") from None
        except LexiconError:
            pass  # a broken CURRENT is what a rollback to a given version mends

    @contextmanager
    def _lock(self, name: str) -> Iterator[Path]:
        folder = self.directory / check_name(name)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._tidy(name, folder)
            try:
                yield folder
            finally:
                self._tidy(name, folder)

    def _tidy(self, name: str, folder: Path) -> None:
        """Remove what a push left that failed or was killed; all who write hold the lock, so nobody is writing it."""
        if not (folder / CURRENT_FILE).exists():
            last = self.last_version(name)
            for version in self.versions(name):
                if version <= last:
                    (folder / f"{version}.lex").unlink()
        for path in list(folder.iterdir()):
            if path.name.startswith(_TEMPORARY_FILES):
                path.unlink()
            elif pending := _PENDING_FILE.fullmatch(path.name):
                try:
                    in_use = self.current_version(name)
                except UnknownLexiconError:
                    in_use = 0
                except LexiconError:
                    continue
                if in_use != int(pending[1]):
                    (folder / f"{pending[1]}.lex").unlink(missing_ok=True)
                path.unlink()


def _not_empty(name: str, content: bytes) -> Lexicon:
    lexicon = Lexicon.from_bytes(content)
    if not len(lexicon):
        raise LexiconError(f"the lexicon {name!r} holds no word: nothing is installed, what is in use stays")
    return lexicon
