"""A worker process: opens a model, and extracts from texts until its parent ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distillex.tagger import Tagger

READY, FOUND, REFUSED, FAILED = "ready", "found", "refused", "failed"
"""What an answer begins with: a model is open, extractions, why nothing can be extracted, why this was not."""


@dataclass(frozen=True)
class TaggerOptions:
    """What a worker opens; can be pickled."""

    model: str
    lexicon_directory: str
    lexicon: dict[str, Any]
    lexicon_name: str | None
    trust: str | float | None
    """Of each call: how far words without a trust of their own are obeyed."""
    lexicon_versions: dict[str, int]
    """Of the whole run: what is installed in its middle is for the next one."""

    def open(self) -> Tagger:
        """Open the model, with the words over the named lexicon over the base lexicon.

        Raises
        ------
        ExtractorError, LayoutError, LexiconError
            As :func:`distillex.load` and :meth:`distillex.Tagger.with_lexicon`.
        """
        import distillex

        tagger = distillex.load(
            self.model,
            lexicon_directory=self.lexicon_directory,
            lexicon_versions=self.lexicon_versions,
            threads=1,
        )
        if self.lexicon_name:
            tagger = tagger.with_lexicon(self.lexicon_name)
        return tagger.with_lexicon(self.lexicon) if self.lexicon else tagger


def serve(descriptor: int) -> None:
    """Answer what comes over a socket, first :class:`TaggerOptions`, then lists of texts; end when it is closed.

    An answer is one of the words above, then what belongs to it. Extractions travel as plain tuples, which are packed
    in a third of the time.
    """
    # An interrupt is for the run, which ends its workers by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(descriptor) as line:
        try:
            options: TaggerOptions = line.recv()
            tagger = _opened(line, options)
            while tagger is not None:
                line.send(_answer(tagger, line.recv(), options.trust))
        except (EOFError, ConnectionError):
            # The run is over, or its process was killed.
            pass
    # Not by way of Python's own end, which closes the model: there is nothing to be kept.
    os._exit(0)


def _opened(line: Connection, options: TaggerOptions) -> Tagger | None:
    from distillex_client.errors import ExtractorError
    from distillex_matcher import LayoutError, LexiconError

    try:
        tagger = options.open()
    except (ExtractorError, LayoutError, LexiconError) as error:
        line.send((REFUSED, str(error)))
        return None
    line.send((READY, None))
    return tagger


def _answer(tagger: Tagger, texts: Sequence[str], trust: str | float | None) -> tuple[str, Any]:
    from distillex_client.errors import InvalidRequest

    try:
        return FOUND, [
            (
                extraction.lexicon_version,
                extraction.error,
                [(e.start, e.end, e.type, e.text, e.score) for e in extraction.entities],
            )
            for extraction in tagger.extract_stream(texts, trust=trust)
        ]
    except InvalidRequest as error:
        return REFUSED, str(error)
    except Exception as error:  # a fault of ours, or no memory: told like a worker that died of it
        return FAILED, f"{type(error).__name__}: {error}"
