"""Run a bounded number of requests at once, and return results in the order of the input."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from distillex_client.batch.extraction import Caller
from distillex_client.batch.records import BadRecord, Chunk, Extracted, Record
from distillex_client.documents import Window, merge_windows, split_document
from distillex_client.entity import Extraction
from distillex_client.selection import EVERYTHING, Selection
from distillex_client.sentences import has_period

# An ensemble pads the texts of a request to the bucket of the longest (docs/reference/tensors.md). Those of one bucket
# are sent together: no text is padded further than alone.
LONGEST_TEXT_OF_BUCKET = (14, 30, 62, 126, 254, 510)


@dataclass(frozen=True)
class _Request:
    pieces: list[int]
    """Which pieces of the chunk it carries."""
    answer: Future[list[Extraction]]


@dataclass(frozen=True)
class _ChunkInFlight:
    chunk: Chunk
    windows: list[list[Window]]
    """Of each item; none of bad records."""
    requests: list[_Request]


@dataclass(frozen=True)
class Finished:
    """A chunk with what became of each of its records."""

    chunk: Chunk
    results: list[Extracted | BadRecord]


def extract_chunks(
    chunks: Iterable[Chunk],
    caller: Caller,
    *,
    batch_size: int,
    concurrency: int,
    selection: Selection = EVERYTHING,
) -> Generator[Finished]:
    """Extract chunk after chunk, in order; the next is read while this one's last requests are in flight.

    Raises
    ------
    WrongUse, BatchStopped
        As :meth:`Caller.call`.
    """
    pending: deque[_ChunkInFlight] = deque()
    in_flight = 0
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="distillex-batch")
    try:
        for chunk in chunks:
            pending.append(_submit(chunk, caller, pool, batch_size))
            in_flight += len(pending[-1].requests)
            while pending and in_flight - len(pending[0].requests) >= concurrency:
                in_flight -= len(pending[0].requests)
                yield _finish(pending.popleft(), selection)
        while pending:
            yield _finish(pending.popleft(), selection)
    except BaseException:
        caller.stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(chunk: Chunk, caller: Caller, pool: ThreadPoolExecutor, batch_size: int) -> _ChunkInFlight:
    windows: list[list[Window]] = []
    pieces: list[str] = []
    by_bucket: dict[int, list[int]] = defaultdict(list)
    for item in chunk.items:
        if isinstance(item, BadRecord):
            windows.append([])
            continue
        periods = has_period(item.text) and caller.sentence_periods()
        windows.append(split_document(item.text, periods=periods))
        for window in windows[-1]:
            by_bucket[bisect_left(LONGEST_TEXT_OF_BUCKET, window.end - window.start)].append(len(pieces))
            pieces.append(item.text[window.start : window.end])
    requests = []
    for _, members in sorted(by_bucket.items()):
        for begin in range(0, len(members), batch_size):
            numbers = members[begin : begin + batch_size]
            requests.append(_Request(numbers, pool.submit(caller.call, [pieces[n] for n in numbers])))
    return _ChunkInFlight(chunk, windows, requests)


def _finish(flight: _ChunkInFlight, selection: Selection) -> Finished:
    answers: dict[int, Extraction] = {}
    for request in flight.requests:
        answers.update(zip(request.pieces, request.answer.result(), strict=True))
    results: list[Extracted | BadRecord] = []
    piece = 0
    for item, windows in zip(flight.chunk.items, flight.windows, strict=True):
        found = [answers[number] for number in range(piece, piece + len(windows))]
        piece += len(windows)
        results.append(item if isinstance(item, BadRecord) else _merge(item, windows, found, selection))
    return Finished(flight.chunk, results)


def _merge(
    record: Record, windows: Sequence[Window], found: Sequence[Extraction], selection: Selection
) -> Extracted | BadRecord:
    for window, extraction in zip(windows, found, strict=True):
        if extraction.error is not None:
            where = f" (characters {window.start} to {window.end})" if len(windows) > 1 else ""
            return BadRecord(record.place, f"{extraction.error}{where}")
    return Extracted(record, selection.of(merge_windows(windows, [extraction.entities for extraction in found])))
