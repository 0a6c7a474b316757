"""The synchronous client."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any

from distillex_client.documents import DEFAULT_WINDOW, merge_windows, split_document
from distillex_client.entity import Entity, Extraction
from distillex_client.errors import ExtractorError, InvalidText, ServerUnavailable, error_from_status
from distillex_client.options import Retries, Tls
from distillex_client.protocol import Lexicon, parse_answer, request_tensors

if TYPE_CHECKING:
    import tritonclient.grpc

MAX_BATCH_SIZE = 64


class Extractor:
    """Extract entities through a Distillex server; safe to share between threads.

    Parameters
    ----------
    url
        ``host:port`` of the server's gRPC.
    model, model_version
        The ensemble to call; an empty version is the server's choice.
    timeout_s
        Deadline of one call, retries not included.
    retries
        After UNAVAILABLE and RESOURCE_EXHAUSTED.
    batch_size
        Texts a request, at most the server's 64.
    concurrency
        Requests in flight at once in :meth:`extract_batch` and :meth:`extract_stream`.
    tls
        Encrypt the connection; with certificate and key, mutually.
    metadata
        Headers sent with each call, such as ``{"authorization": "Bearer …"}``.

    Examples
    --------
    >>> with Extractor("127.0.0.1:8001") as extractor:  # doctest: +SKIP
    ...     extractor.extract("青石云科发布了新产品。", lexicon={"青石云科": "company"})
    [Entity(start=0, end=4, type='company', text='青石云科', score=0.9667)]
    """

    def __init__(
        self,
        url: str = "127.0.0.1:8001",
        *,
        model: str = "extractor",
        model_version: str = "",
        timeout_s: float = 30.0,
        retries: Retries | None = None,
        batch_size: int = 32,
        concurrency: int = 4,
        tls: Tls | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if not 1 <= batch_size <= MAX_BATCH_SIZE:
            raise ValueError(f"batch_size {batch_size} is not in 1 .. {MAX_BATCH_SIZE}")
        if concurrency < 1:
            raise ValueError(f"concurrency {concurrency} must be at least 1")
        self.url = url
        self.model = model
        self.model_version = model_version
        self.timeout_s = timeout_s
        self.retries = retries or Retries()
        self.batch_size = batch_size
        self.concurrency = concurrency
        self._tls = tls
        self._metadata = dict(metadata or {})
        self._random = random.Random()
        self._client: tritonclient.grpc.InferenceServerClient | None = None
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Extractor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def extract(
        self, text: str | bytes, *, lexicon: Lexicon | None = None, lexicon_name: str | None = None
    ) -> list[Entity]:
        """Return the entities of one text of at most the server's limit (510 characters).

        Parameters
        ----------
        text
            ``str``, or UTF-8 bytes.
        lexicon
            Words for this request alone: word → type, None to hide a word.
        lexicon_name
            A lexicon installed on the server, laid over its base lexicon.

        Raises
        ------
        InvalidText, InvalidRequest, ServerUnavailable, DeadlineExceeded, ModelNotFound, ServerError
        """
        return list(self._call([text], lexicon, lexicon_name)[0].entities)

    def extract_batch(
        self,
        texts: Iterable[str | bytes],
        *,
        lexicon: Lexicon | None = None,
        lexicon_name: str | None = None,
    ) -> list[list[Entity]]:
        """Return the entities of each text, in order.

        Raises
        ------
        InvalidText
            For the first bad text (``row`` is its index); :meth:`extract_stream` goes on instead. Others as in
            :meth:`extract`.
        """
        found = []
        for row, extraction in enumerate(self.extract_stream(texts, lexicon=lexicon, lexicon_name=lexicon_name)):
            if extraction.error is not None:
                raise InvalidText(f"text {row}: {extraction.error}", row)
            found.append(list(extraction.entities))
        return found

    def extract_stream(
        self,
        texts: Iterable[str | bytes],
        *,
        lexicon: Lexicon | None = None,
        lexicon_name: str | None = None,
    ) -> Iterator[Extraction]:
        """Yield one extraction a text, in order, reading ``texts`` only as far as requests are in flight.

        A bad text yields an extraction with ``error``; the others are not hurt.
        """
        pending: deque[Future[list[Extraction]]] = deque()
        for batch in _batches(texts, self.batch_size):
            pending.append(self._executor().submit(self._call_rows, batch, lexicon, lexicon_name))
            while len(pending) >= self.concurrency:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()

    def extract_document(
        self,
        document: str,
        *,
        lexicon: Lexicon | None = None,
        lexicon_name: str | None = None,
        window: int = DEFAULT_WINDOW,
        overlap: int | None = None,
    ) -> list[Entity]:
        """Return the entities of a document of any length, with offsets in it.

        Each sentence is extracted alone; one longer than ``window`` in overlapping windows
        (:func:`~distillex_client.documents.split_document`).
        """
        windows = split_document(document, window=window, overlap=overlap)
        pieces = (document[piece.start : piece.end] for piece in windows)
        found = self.extract_batch(pieces, lexicon=lexicon, lexicon_name=lexicon_name)
        return merge_windows(windows, found)

    def is_ready(self) -> bool:
        """Tell whether the server and the model are ready; False where it cannot be reached."""
        try:
            client = self._connection()
            return bool(client.is_server_ready() and client.is_model_ready(self.model, self.model_version))
        except Exception as error:
            if type(error).__name__ == "InferenceServerException":
                return False
            raise

    def _call_rows(
        self, texts: Sequence[str | bytes], lexicon: Lexicon | None, lexicon_name: str | None
    ) -> list[Extraction]:
        try:
            return self._call(texts, lexicon, lexicon_name)
        except InvalidText as error:
            # The server refuses a request of one bad text as a whole.
            if len(texts) > 1:
                raise
            return [Extraction((), "", str(error))]

    def _call(
        self, texts: Sequence[str | bytes], lexicon: Lexicon | None, lexicon_name: str | None
    ) -> list[Extraction]:
        tensors = request_tensors(texts, lexicon, lexicon_name)
        for attempt in range(1, self.retries.attempts + 1):
            try:
                return self._infer(tensors)
            except ServerUnavailable:
                if attempt == self.retries.attempts:
                    raise
                time.sleep(self.retries.delay_s(attempt, self._random))
        raise AssertionError("retries has at least one attempt")

    def _infer(self, tensors: Mapping[str, Any]) -> list[Extraction]:
        import tritonclient.grpc as triton

        inputs = []
        for name, value in tensors.items():
            tensor = triton.InferInput(name, list(value.shape), "BYTES")
            tensor.set_data_from_numpy(value)
            inputs.append(tensor)
        try:
            answer = self._connection().infer(
                self.model,
                inputs,
                model_version=self.model_version,
                client_timeout=self.timeout_s,
                headers=self._metadata or None,
            )
        except triton.InferenceServerException as error:
            raise _translate(error) from error
        return parse_answer(answer.as_numpy("ENTITIES"), answer.as_numpy("LEXICON_VERSION"))

    def _connection(self) -> tritonclient.grpc.InferenceServerClient:
        if self._client is None:
            import tritonclient.grpc as triton

            options = triton.KeepAliveOptions(keepalive_time_ms=30_000, keepalive_timeout_ms=10_000)
            tls = self._tls
            self._client = triton.InferenceServerClient(
                self.url,
                ssl=tls is not None,
                root_certificates=str(tls.ca) if tls else None,
                private_key=str(tls.key) if tls and tls.key else None,
                certificate_chain=str(tls.certificate) if tls and tls.certificate else None,
                keepalive_options=options,
            )
        return self._client

    def _executor(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="distillex-client")
        return self._pool


def _batches(texts: Iterable[str | bytes], size: int) -> Iterator[list[str | bytes]]:
    batch: list[str | bytes] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _translate(error: Any) -> ExtractorError:
    status = str(error.status() or "").removeprefix("StatusCode.")
    return error_from_status(status, error.message())
