"""Metrics of the installed lexicons: the version in use, and when it was installed."""

from __future__ import annotations

import math

from distillex_matcher import LexiconError
from distillex_matcher.lexicon_store import LexiconStore

from distillex_serving.python_models.answers import log_error
from distillex_serving.python_models.callers import Callers
from distillex_serving.python_models.metrics import NOT_TOLD, Series
from distillex_serving.python_models.periodic import Periodic

PERIOD_S = 2.0
MOST_LEXICONS = 200
_NUMBER = ("distillex_lexicons_installed", "Lexicons that are installed")
_VERSION = ("distillex_lexicon_version", "Version in use of an installed lexicon")
_INSTALLED = ("distillex_lexicon_installed_timestamp_seconds", "When that version was installed, Unix time")
_NOTHING = (math.nan, math.nan)


class LexiconMetrics:
    """Looks at a directory of lexicons every few seconds.

    Labels are the names that an administrator gave: not of lexicons that a tenant may push, whose names are a caller's
    strings. There are :data:`MOST_LEXICONS` of them at most, with those that are gone.

    Parameters
    ----------
    store
        The directory.
    callers
        Who may push; None: the administrator alone.
    """

    def __init__(self, store: LexiconStore, callers: Callers | None = None) -> None:
        # Its own, since a store is not shared by threads.
        self._store = LexiconStore(store.directory)
        self._callers = callers
        self._series = Series()
        self._told: dict[str, tuple[float, float]] = {}
        self._usable: dict[str, int] = {}
        self._complained = False
        self._reporter = Periodic(self._tell, PERIOD_S, NOT_TOLD)

    def stop(self) -> None:
        """End."""
        self._reporter.stop()

    def _tell(self) -> None:
        self._store.let_go_of_removed()
        installed = self._store.names()
        self._series.set(*_NUMBER, len(installed))
        names = [name for name in installed if self._callers is None or not self._callers.pushes(name)]
        new = [name for name in names if name not in self._told]
        # One that is gone, or a tenant's now, is reported as NaN: a series cannot be withdrawn.
        room = MOST_LEXICONS - len(self._told)
        if len(new) > room and not self._complained:
            self._complained = True
            log_error(f"the metrics tell of {MOST_LEXICONS} lexicons; {new[room]!r} is one more")
        seen = {name: self._look(name) for name in names if name in self._told or name in new[:room]}
        now = dict.fromkeys(self._told, _NOTHING) | seen
        for name, values in now.items():
            if repr(values) != repr(self._told.get(name)):
                for (metric, description), value in zip((_VERSION, _INSTALLED), values, strict=True):
                    self._series.set(metric, description, value, lexicon=name)
                self._told[name] = values

    def _look(self, name: str) -> tuple[float, float]:
        try:
            version = self._in_use(name)
            return version, (self._store.directory / name / f"{version}.lex").stat().st_mtime
        except (LexiconError, OSError):
            # Pruned at this moment, or nothing of it can be read: the models say so in the log.
            return self._told.get(name, _NOTHING)

    def _in_use(self, name: str) -> int:
        """Return the version that answers: what ``CURRENT`` says, or the one before it while that cannot be read."""
        version = self._store.current_version(name)
        if self._usable.get(name) != version:
            try:
                # Read once, and not kept: it may be large.
                self._store.open(name, version)
            except LexiconError:
                if name not in self._usable and (held := self._store.fallback(name)) is not None:
                    self._usable[name] = held.version
                if name not in self._usable:
                    raise
                return self._usable[name]
            self._usable[name] = version
        return version
