"""Long documents: split into sentences, extract from each, and shift the offsets back.

A sentence is always sent alone, whatever the window limit: what the model sees of it, and so what it finds, does not
depend on the limit wherever the sentence fits. Only a longer sentence is cut into overlapping windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from distillex_client.entity import Entity, Extraction
from distillex_client.errors import InvalidText
from distillex_client.protocol import LONGEST_TEXT, not_a_text
from distillex_client.sentences import sentence_ends

DEFAULT_WINDOW = LONGEST_TEXT
DEFAULT_OVERLAP = 64


@dataclass(frozen=True)
class Window:
    """A piece of a document: ``document[start:end]``; entities are taken from its core, ``[core_start, core_end)``.

    An entity belongs to the window in whose core its middle lies, so that seams neither cut nor double it.
    """

    start: int
    end: int
    core_start: int
    core_end: int


def split_document(
    document: str, *, window: int = DEFAULT_WINDOW, overlap: int | None = None, periods: bool = False
) -> list[Window]:
    """Cut a document at sentence ends; sentences over ``window`` code points into overlapping windows.

    Parameters
    ----------
    document
        Any text.
    window
        Longest piece in code points, at most the server's limit.
    overlap
        Code points shared by neighbouring windows of one sentence; by default 64, or a quarter of a small window.
    periods
        Whether periods end sentences of Latin text too (:func:`~distillex_client.sentences.sentence_ends`). Of a
        document that is extracted, the model's layout says it.

    Returns
    -------
    list of Window
        In order; pieces of white space alone are left out.

    Raises
    ------
    ValueError
        When ``overlap`` is not smaller than half of ``window``.
    """
    if overlap is None:
        overlap = min(DEFAULT_OVERLAP, window // 4)
    if not 0 <= overlap < window / 2:
        raise ValueError(f"overlap {overlap} must be from 0 to less than half of the window, {window}")
    windows: list[Window] = []
    begin = 0
    for end in (*sentence_ends(document, periods=periods), len(document)):
        windows += _windows(document, begin, end, window, overlap)
        begin = end
    return windows


def merge_windows(windows: Sequence[Window], found: Iterable[Sequence[Entity]]) -> list[Entity]:
    """Move each window's entities to document offsets, and keep those whose middle lies in the window's core."""
    merged = []
    for window, entities in zip(windows, found, strict=True):
        for entity in entities:
            start, end = entity.start + window.start, entity.end + window.start
            if window.core_start <= (start + end) / 2 < window.core_end:
                merged.append(Entity(start, end, entity.type, entity.text, entity.score) if window.start else entity)
    return _without_overlaps(merged)


class Document:
    """A document on its way: its pieces, and what came back for them."""

    def __init__(self, document: str | bytes, window: int, overlap: int | None, *, periods: bool = False) -> None:
        text = decoded(document)
        self._windows = split_document(text, window=min(window, LONGEST_TEXT), overlap=overlap, periods=periods)
        self.pieces = [text[window.start : window.end] for window in self._windows]

    def merge(self, extractions: Sequence[Extraction]) -> list[Entity]:
        """Return the entities with offsets in the document, in order.

        Raises
        ------
        InvalidText
            When a piece was refused; says where in the document it lies.
        """
        for window, extraction in zip(self._windows, extractions, strict=True):
            if extraction.error is not None:
                error = InvalidText(f"characters {window.start} to {window.end}: {extraction.error}")
                error.request_id = extraction.request_id
                raise error
        return merge_windows(self._windows, [extraction.entities for extraction in extractions])


def _windows(document: str, begin: int, end: int, window: int, overlap: int) -> list[Window]:
    while begin < end and document[begin].isspace():
        begin += 1
    while end > begin and document[end - 1].isspace():
        end -= 1
    if begin == end:
        return []
    if end - begin <= window:
        return [Window(begin, end, begin, end)]
    pieces = []
    start = begin
    while True:
        stop = min(start + window, end)
        core_start = start if start == begin else start + overlap // 2
        core_end = stop if stop == end else stop - (overlap - overlap // 2)
        pieces.append(Window(start, stop, core_start, core_end))
        if stop == end:
            return pieces
        start = stop - overlap


def _without_overlaps(entities: list[Entity]) -> list[Entity]:
    """Of two that overlap at a seam the better-scored stays."""
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda e: (e.start, e.end)):
        if kept and entity.start < kept[-1].end:
            if entity.score > kept[-1].score:
                kept[-1] = entity
        else:
            kept.append(entity)
    return kept


def decoded(document: str | bytes) -> str:
    """Return a document as a string.

    Raises
    ------
    TypeError, InvalidText
        For what is no text, and for bytes that are not UTF-8.
    """
    if isinstance(document, str):
        return document
    if not isinstance(document, bytes):
        raise not_a_text(document)
    try:
        return document.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidText(f"the text is not UTF-8 (byte {error.start})") from error
