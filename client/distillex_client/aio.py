"""The asynchronous client: the twin of :mod:`distillex_client.extractor`, with asyncio in place of threads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from distillex_client.attempts import Attempts
from distillex_client.connection import Line, open_line
from distillex_client.core import Call, ExtractorCore, Request, ServedModel, check_texts, entities_of
from distillex_client.documents import DEFAULT_WINDOW, Document
from distillex_client.entity import Entity, Extraction
from distillex_client.errors import (
    AccessDenied,
    ExtractorError,
    InvalidText,
    ModelNotFound,
    ServerError,
    error_from_grpc,
    was_hung_up_on,
    while_not_ready,
)
from distillex_client.protocol import Lexicon, Trust, parse_answer
from distillex_client.selection import EVERYTHING, Selection
from distillex_client.sentences import has_period

T = TypeVar("T")


@dataclass(frozen=True)
class _Connection:
    """What belongs to one event loop: a channel of grpc.aio works in the loop that made it, and in no other."""

    loop: asyncio.AbstractEventLoop
    line: Line
    slots: asyncio.Semaphore


class AsyncExtractor(ExtractorCore):
    """Extract entities through a Distillex server, with asyncio; one instance serves any number of tasks.

    Parameters, results and errors are those of :class:`~distillex_client.Extractor`.

    Examples
    --------
    >>> async with AsyncExtractor("127.0.0.1:8001") as extractor:  # doctest: +SKIP
    ...     await extractor.extract("青石云科发布了新产品。", lexicon={"青石云科": "company"})
    [Entity(start=0, end=4, type='company', text='青石云科', score=1.0)]
    """

    _open: _Connection | None = None

    async def __aenter__(self) -> AsyncExtractor:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection, ending what is in flight; the next call opens it again."""
        connection, self._open = self._open, None
        self._served = None
        if connection is not None and connection.loop is asyncio.get_running_loop():
            await connection.line.channel.close()

    async def extract(
        self,
        text: str | bytes,
        *,
        lexicon: Lexicon | None = None,
        lexicon_name: str | None = None,
        trust: Trust | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        traceparent: str | None = None,
    ) -> list[Entity]:
        """Return the entities of one text; see :meth:`Extractor.extract <distillex_client.Extractor.extract>`."""
        call = self._begin(lexicon, lexicon_name, trust, request_id, traceparent, timeout_s)
        return self._selection.of(entities_of((await self._send(self._request([text], call)))[0], 0))

    async def extract_batch(
        self,
        texts: Iterable[str | bytes] | AsyncIterable[str | bytes],
        *,
        lexicon: Lexicon | None = None,
        lexicon_name: str | None = None,
        trust: Trust | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        traceparent: str | None = None,
    ) -> list[list[Entity]]:
        """Return the entities of each text, in order.

        See :meth:`Extractor.extract_batch <distillex_client.Extractor.extract_batch>`.
        """
        check_texts(texts)
        call = self._begin(lexicon, lexicon_name, trust, request_id, traceparent, timeout_s)
        found: list[list[Entity]] = []
        async for extraction in self._stream(texts, call, self._selection):
            found.append(entities_of(extraction, len(found)))
        return found

    def extract_stream(
        self,
        texts: Iterable[str | bytes] | AsyncIterable[str | bytes],
        *,
        lexicon: Lexicon | None = None,
        lexicon_name: str | None = None,
        trust: Trust | None = None,
        request_id: str | None = None,
        traceparent: str | None = None,
    ) -> AsyncGenerator[Extraction, None]:
        """Yield one extraction a text, in order, reading ``texts`` only as far as requests are in flight.

        A bad text yields an extraction with ``error``, and does not affect the others. To leave before the end, use
        :func:`contextlib.aclosing`, which ends the requests in flight.
        """
        check_texts(texts)
        call = self._begin(lexicon, lexicon_name, trust, request_id, traceparent, with_versions=True)
        return self._stream(texts, call, self._selection)

    async def extract_document(
        self,
        document: str | bytes,
        *,
        lexicon: Lexicon | None = None,
        lexicon_name: str | None = None,
        trust: Trust | None = None,
        window: int = DEFAULT_WINDOW,
        overlap: int | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        traceparent: str | None = None,
    ) -> list[Entity]:
        """Return the entities of a document of any length, with offsets in it.

        See :meth:`Extractor.extract_document <distillex_client.Extractor.extract_document>`.
        """
        call = self._begin(lexicon, lexicon_name, trust, request_id, traceparent, timeout_s)
        sent = Document(document, window, overlap, periods=await self._cuts_at_periods(document, call))
        found = [extraction async for extraction in self._stream(sent.pieces, call, EVERYTHING)]
        return self._selection.of(sent.merge(found))

    async def is_ready(self) -> bool:
        """Tell whether the server and the model are ready; False where it cannot be reached."""
        import grpc

        try:
            stub = self._connection().line.stub
            server = await self._ask_server_ready(stub, self.timeout_s)
            return bool(server.ready and (await self._ask_model_ready(stub, self.timeout_s)).ready)
        except grpc.RpcError:
            return False

    async def _stream(
        self, texts: Iterable[str | bytes] | AsyncIterable[str | bytes], call: Call, selection: Selection
    ) -> AsyncGenerator[Extraction, None]:
        pending: deque[asyncio.Task[list[Extraction]]] = deque()
        try:
            async for batch in self._batches(texts, call):
                pending.append(asyncio.create_task(self._send_rows(self._request(batch, call))))
                while len(pending) >= self.concurrency:
                    for extraction in await pending.popleft():
                        yield selection.of_extraction(extraction)
            while pending:
                for extraction in await pending.popleft():
                    yield selection.of_extraction(extraction)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _batches(
        self, texts: Iterable[str | bytes] | AsyncIterable[str | bytes], call: Call
    ) -> AsyncIterator[list[str | bytes]]:
        size = 0
        batch: list[str | bytes] = []
        async for text in _each(texts):
            # Not asked before there is a text to send.
            size = size or (await self._served_model(call.expires)).largest_batch
            batch.append(text)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    async def sentence_periods(self) -> bool:
        """Ask whether the model's documents are cut after periods of Latin text too, as its layout says."""
        return (await self._served_model(None)).sentence_periods

    async def _cuts_at_periods(self, document: str | bytes, call: Call) -> bool:
        return has_period(document) and (await self._served_model(call.expires)).sentence_periods

    async def _served_model(self, expires: float | None) -> ServedModel:
        if self._served is None:
            try:
                answer = await self._retrying(self._ask_configuration, self._attempts(expires))
                self._served = ServedModel.of(answer.config, self.batch_size)
            except (AccessDenied, ServerError):
                # A server that keeps its configuration to itself refuses too large a batch by name.
                self._served = ServedModel(self.batch_size)
        return self._served

    async def _send_rows(self, request: Request) -> list[Extraction]:
        try:
            async with self._connection().slots:
                return await self._send(request)
        except InvalidText as error:
            # The server refuses a request of one bad text as a whole.
            return [Extraction((), "", str(error), request.id)]

    async def _send(self, request: Request) -> list[Extraction]:
        try:
            with self._traced(request) as trace:

                def infer(stub: Any, attempts: Attempts) -> Any:
                    return self._infer(stub, request, trace, attempts)

                return parse_answer(await self._retrying(infer, self._attempts(request.expires)), request.rows)
        except ExtractorError as error:
            error.request_id = request.id
            raise

    async def _retrying(self, send: Callable[[Any, Attempts], Awaitable[T]], attempts: Attempts) -> T:
        import grpc

        while True:
            try:
                return await send(self._connection().line.stub, attempts)
            except grpc.RpcError as raised:
                error = error_from_grpc(raised)
            if isinstance(error, ModelNotFound) and not await self._server_is_ready(attempts):
                error = while_not_ready(error)
            if was_hung_up_on(error):
                error = await asyncio.to_thread(self._look_for_tls, error)
            await asyncio.sleep(attempts.delay_s(error))

    async def _server_is_ready(self, attempts: Attempts) -> bool:
        import grpc

        try:
            stub, timeout_s = self._connection().line.stub, self._readiness_timeout_s(attempts)
            return bool((await self._ask_server_ready(stub, timeout_s)).ready)
        except grpc.RpcError as raised:
            return self._says_ready(raised)

    def _connection(self) -> _Connection:
        loop = asyncio.get_running_loop()
        if self._open is None or self._open.loop is not loop:
            import grpc.aio

            line = open_line(self.url, self._tls, grpc.aio)
            self._open = _Connection(loop, line, asyncio.Semaphore(self.concurrency))
        return self._open


async def _each(texts: Iterable[str | bytes] | AsyncIterable[str | bytes]) -> AsyncIterator[str | bytes]:
    if isinstance(texts, AsyncIterable):
        async for text in texts:
            yield text
    else:
        for text in texts:
            yield text
