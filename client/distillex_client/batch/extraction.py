"""The interface of what extracts for a batch run: a server, or models in processes of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from distillex_client.entity import Extraction
from distillex_client.protocol import Lexicon, Trust


class CallOptions(Protocol):
    """How texts are extracted, whatever does it."""

    @property
    def batch_size(self) -> int:
        """Most texts of a call."""

    @property
    def concurrency(self) -> int:
        """Most calls at once, each from a thread of its own."""

    @property
    def lexicon(self) -> Lexicon:
        """Words for these texts alone; may be empty."""

    @property
    def lexicon_name(self) -> str | None:
        """A lexicon that is installed."""

    @property
    def trust(self) -> Trust | None:
        """How far the words of both are obeyed that have no trust of their own."""

    @property
    def retry_for_s(self) -> float:
        """How long a server may stay away."""


class Caller(Protocol):
    """Extracts, for several threads at once."""

    def call(self, texts: Sequence[str]) -> list[Extraction]:
        """Return one extraction a text, with ``error`` for texts that are refused or cannot be extracted.

        Raises
        ------
        WrongUse
            When something has to be changed, such as the lexicon.
        BatchStopped
            When nothing can be extracted now.
        """

    def sentence_periods(self) -> bool:
        """Tell whether the model's documents are cut after periods of Latin text too; asked for each text that has one.

        Raises
        ------
        WrongUse, BatchStopped
            As :meth:`call`.
        """

    def stop(self) -> None:
        """End every call, as nobody waits for its answer any more."""


class ExtractionSource(Protocol):
    """Where a caller comes from; a value that can be pickled."""

    def open(self, options: CallOptions) -> AbstractContextManager[Caller]:
        """Return a caller, which is closed with the context.

        Raises
        ------
        WrongUse
            When a setting cannot work.
        """

    def settings(self, lexicon_name: str | None) -> Mapping[str, Any]:
        """Return what has to be the same when a run is resumed, by its name for people.

        Raises
        ------
        WrongUse
            When a setting cannot work.
        """
