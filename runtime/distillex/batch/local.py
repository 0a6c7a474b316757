"""In-process models for a batch run, in place of a server."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillex_client.batch.extraction import Caller, CallOptions
from distillex_client.entity import Extraction
from distillex_client.errors import ExtractorError, WrongUse
from distillex_matcher import FeatureLayout, LayoutError, LexiconError
from distillex_matcher.lexicon_store import BASE_NAME, LexiconStore

from distillex.batch.worker import TaggerOptions
from distillex.batch.workers import Workers
from distillex.locations import shipped_lexicons
from distillex.models import DEFAULT_MODEL, files_read, find_model


@dataclass(frozen=True)
class LocalExtraction:
    """Extract on this machine, without a server; can be pickled."""

    model: str = DEFAULT_MODEL
    """Name of a student, or the folder of an exported or a trained model."""
    lexicon_directory: Path | None = None
    """None: the shipped lexicons."""
    workers: int | None = None
    """Processes that extract; None: this process does, in the threads that call."""

    @contextlib.contextmanager
    def open(self, options: CallOptions) -> Iterator[Caller]:
        """Open the model: here, or in each worker as soon as that is needed.

        Raises
        ------
        WrongUse
            When the model or a lexicon cannot be used.
        """
        with _as_wrong_use():
            folder = self._folder()
            periods = FeatureLayout.load(folder).text.sentence_periods
            chosen = TaggerOptions(
                model=str(folder),
                lexicon_directory=str(self._lexicons()),
                lexicon=dict(options.lexicon),
                lexicon_name=options.lexicon_name,
                trust=options.trust,
                lexicon_versions=self._versions(options.lexicon_name),
            )
        if self.workers is None:
            with _as_wrong_use():
                caller = _TaggerCaller(chosen, periods=periods)
            yield caller
            return
        with Workers(chosen, self.workers) as workers:
            yield _WorkersCaller(workers, periods=periods)

    def settings(self, lexicon_name: str | None) -> dict[str, Any]:
        """Return what has to be the same when a run is resumed: the model's files, the versions of its lexicons."""
        with _as_wrong_use():
            folder = self._folder()
            checksum = hashlib.blake2b(digest_size=8)
            for name in files_read(folder):
                checksum.update((folder / name).read_bytes())
            labels = [f"{name}@{version}" for name, version in self._versions(lexicon_name).items()]
        return {"--model": self.model, "--model (checksum)": checksum.hexdigest(), "lexicons": "+".join(labels)}

    def _versions(self, lexicon_name: str | None) -> dict[str, int]:
        """Return the versions in use now."""
        store = LexiconStore(self._lexicons())
        try:
            return {name: store.current_version(name) for name in (BASE_NAME, lexicon_name) if name}
        except LexiconError as error:
            raise LexiconError(f"{error} (lexicons of {self._lexicons()})") from None

    def _folder(self) -> Path:
        return find_model(self.model, or_trained=True).resolve()

    def _lexicons(self) -> Path:
        return (self.lexicon_directory or shipped_lexicons()).resolve()


class _TaggerCaller:
    """Extracts in this process."""

    def __init__(self, options: TaggerOptions, *, periods: bool) -> None:
        self._tagger = options.open()
        self._trust = options.trust
        self._periods = periods

    def call(self, texts: Sequence[str]) -> list[Extraction]:
        with _as_wrong_use():
            return list(self._tagger.extract_stream(texts, trust=self._trust))

    def sentence_periods(self) -> bool:
        return self._periods

    def stop(self) -> None:
        """Nothing waits: a call ends soon."""


class _WorkersCaller:
    """Extracts in worker processes."""

    def __init__(self, workers: Workers, *, periods: bool) -> None:
        self.call, self.stop = workers.call, workers.stop
        self._periods = periods

    def sentence_periods(self) -> bool:
        return self._periods


@contextlib.contextmanager
def _as_wrong_use() -> Iterator[None]:
    try:
        yield
    except (ExtractorError, LayoutError, LexiconError) as error:
        raise WrongUse(str(error)) from error
