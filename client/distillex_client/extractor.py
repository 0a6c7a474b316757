"""The synchronous client."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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


class Extractor(ExtractorCore):
    """Extract entities through a Distillex server; one instance holds one connection and is safe to share by threads.

    Parameters
    ----------
    url
        ``host:port`` of the server's gRPC, or a name that gRPC resolves, such as ``dns:///host:port``.
    model, model_version
        The model to call; an empty version is the server's choice.
    timeout_s
        Deadline of one request, including its retries and pauses.
    retries
        Retries while the server is unreachable, stopping, starting or overloaded.
    batch_size
        Texts per request in :meth:`extract_batch`, :meth:`extract_stream` and :meth:`extract_document`, at most as many
        as the server allows.
    concurrency
        Requests of these methods in flight at once.
    tls
        Encrypt the connection; with certificate and key: mutual TLS.
    metadata
        Headers of each call, such as ``{"authorization": "Bearer …"}``, or a function that returns them, called at
        each attempt.
    compression
        ``"gzip"`` or ``"deflate"`` for requests, useful on slow networks and with big lexicons.
    min_score
        Leave out entities with a lower score, 0 to 1.
    types
        Keep only entities of these types.

    Examples
    --------
    >>> with Extractor("127.0.0.1:8001") as extractor:  # doctest: +SKIP
    ...     extractor.extract("青石云科发布了新产品。", lexicon={"青石云科": "company"})
    [Entity(start=0, end=4, type='company', text='青石云科', score=1.0)]
    """

    _line: Line | None = None
    _pool: ThreadPoolExecutor | None = None

    def _prepare(self) -> None:
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def __enter__(self) -> Extractor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, ending what is in flight; the next call opens it again."""
        with self._lock:
            line, self._line = self._line, None
            pool, self._pool = self._pool, None
            closing, self._closing = self._closing, threading.Event()
            self._served = None
        closing.set()
        if line is not None:
            line.channel.close()
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def extract(
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
        """Return the entities of one text of at most the server's limit (510 characters).

        Parameters
        ----------
        text
            ``str``, or UTF-8 bytes.
        lexicon
            Words for this request only: word → type, ``{"type": …, "trust": …}``, or None to hide a word.
        lexicon_name
            Name of a lexicon on the server, used on top of its base lexicon.
        trust
            Trust in words of both lexicons that have none of their own: ``"hint"``, ``"prefer"``, ``"insist"``, or a
            number from 0 to 1000; default: their lexicon's trust, else ``"prefer"``.
        timeout_s
            Deadline of this call, instead of the client's.
        request_id
            Triton's id of the request; by default a random one.
        traceparent
            W3C trace context to pass on; by default that of OpenTelemetry's current span, if there is one.

        Raises
        ------
        ExtractorError
            One of those in :mod:`distillex_client.errors`.
        """
        call = self._begin(lexicon, lexicon_name, trust, request_id, traceparent, timeout_s)
        return self._selection.of(entities_of(self._send(self._request([text], call))[0], 0))

    def extract_batch(
        self,
        texts: Iterable[str | bytes],
        *,
        lexicon: Lexicon | None = None,
        lexicon_name: str | None = None,
        trust: Trust | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        traceparent: str | None = None,
    ) -> list[list[Entity]]:
        """Return the entities of each text, in order.

        Parameters are those of :meth:`extract`, but ``timeout_s`` is the deadline of the whole call; without it each of
        its requests has the client's.

        Raises
        ------
        InvalidText
            For the first bad text (``row`` is its index); :meth:`extract_stream` continues after one.
        """
        check_texts(texts)
        call = self._begin(lexicon, lexicon_name, trust, request_id, traceparent, timeout_s)
        stream = self._stream(texts, call, self._selection)
        return [entities_of(extraction, row) for row, extraction in enumerate(stream)]

    def extract_stream(
        self,
        texts: Iterable[str | bytes],
        *,
        lexicon: Lexicon | None = None,
        lexicon_name: str | None = None,
        trust: Trust | None = None,
        request_id: str | None = None,
        traceparent: str | None = None,
    ) -> Generator[Extraction, None, None]:
        """Yield one extraction a text, in order, reading ``texts`` only as far as requests are in flight.

        A bad text yields an extraction with ``error``; the others are not affected. Parameters as in :meth:`extract`.
        """
        check_texts(texts)
        call = self._begin(lexicon, lexicon_name, trust, request_id, traceparent, with_versions=True)
        return self._stream(texts, call, self._selection)

    def extract_document(
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

        Each sentence is extracted alone; one longer than ``window`` (at most the server's limit) in overlapping windows
        (:func:`~distillex_client.documents.split_document`). Whether a period
        ends a sentence of Latin text, the server says for its model. Other parameters as in :meth:`extract_batch`.
        """
        call = self._begin(lexicon, lexicon_name, trust, request_id, traceparent, timeout_s)
        sent = Document(document, window, overlap, periods=self._cuts_at_periods(document, call))
        return self._selection.of(sent.merge(list(self._stream(sent.pieces, call, EVERYTHING))))

    def is_ready(self) -> bool:
        """Tell whether the server and the model are ready; False where it cannot be reached."""
        import grpc

        try:
            stub = self._stub()
            return bool(
                self._ask_server_ready(stub, self.timeout_s).ready and self._ask_model_ready(stub, self.timeout_s).ready
            )
        except grpc.RpcError:
            return False

    def _stream(
        self, texts: Iterable[str | bytes], call: Call, selection: Selection
    ) -> Generator[Extraction, None, None]:
        pending: deque[Future[list[Extraction]]] = deque()
        try:
            for batch in self._batches(texts, call):
                pending.append(self._executor().submit(self._send_rows, self._request(batch, call)))
                while len(pending) >= self.concurrency:
                    yield from map(selection.of_extraction, pending.popleft().result())
            while pending:
                yield from map(selection.of_extraction, pending.popleft().result())
        finally:
            for future in pending:
                future.cancel()

    def _batches(self, texts: Iterable[str | bytes], call: Call) -> Iterator[list[str | bytes]]:
        size = 0
        batch: list[str | bytes] = []
        for text in texts:
            # Not asked before there is a text to send.
            size = size or self._served_model(call.expires).largest_batch
            batch.append(text)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def sentence_periods(self) -> bool:
        """Ask whether the model's documents are cut after periods of Latin text too, as its layout says."""
        return self._served_model(None).sentence_periods

    def _cuts_at_periods(self, document: str | bytes, call: Call) -> bool:
        return has_period(document) and self._served_model(call.expires).sentence_periods

    def _served_model(self, expires: float | None) -> ServedModel:
        if self._served is None:
            try:
                answer = self._retrying(self._ask_configuration, self._attempts(expires))
                self._served = ServedModel.of(answer.config, self.batch_size)
            except (AccessDenied, ServerError):
                # A server that keeps its configuration to itself refuses too large a batch by name.
                self._served = ServedModel(self.batch_size)
        return self._served

    def _send_rows(self, request: Request) -> list[Extraction]:
        try:
            return self._send(request)
        except InvalidText as error:
            # The server refuses a request of one bad text as a whole.
            return [Extraction((), "", str(error), request.id)]

    def _send(self, request: Request) -> list[Extraction]:
        try:
            with self._traced(request) as trace:

                def infer(stub: Any, attempts: Attempts) -> Any:
                    return self._infer(stub, request, trace, attempts)

                return parse_answer(self._retrying(infer, self._attempts(request.expires)), request.rows)
        except ExtractorError as error:
            error.request_id = request.id
            raise

    def _retrying(self, send: Callable[[Any, Attempts], T], attempts: Attempts) -> T:
        import grpc

        closing = self._closing
        while True:
            try:
                return send(self._stub(), attempts)
            except grpc.RpcError as raised:
                error = error_from_grpc(raised)
            if isinstance(error, ModelNotFound) and not self._server_is_ready(attempts):
                error = while_not_ready(error)
            if was_hung_up_on(error):
                error = self._look_for_tls(error)
            if closing.wait(attempts.delay_s(error)):
                raise error

    def _server_is_ready(self, attempts: Attempts) -> bool:
        import grpc

        try:
            return bool(self._ask_server_ready(self._stub(), self._readiness_timeout_s(attempts)).ready)
        except grpc.RpcError as raised:
            return self._says_ready(raised)

    def _stub(self) -> Any:
        with self._lock:
            if self._line is None:
                import grpc

                self._line = open_line(self.url, self._tls, grpc)
            return self._line.stub

    def _executor(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="distillex-client")
            return self._pool
