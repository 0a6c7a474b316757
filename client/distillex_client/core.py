"""What both clients share: settings, requests, answers. Nothing here does I/O."""

from __future__ import annotations

import os
import random
import time
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from distillex_client.attempts import Attempts
from distillex_client.connection import check_url
from distillex_client.entity import Entity, Extraction
from distillex_client.errors import (
    DeadlineExceeded,
    ExtractorError,
    InvalidText,
    ServerUnavailable,
    error_from_grpc,
)
from distillex_client.headers import Metadata, checked_metadata
from distillex_client.options import Retries, Tls
from distillex_client.protocol import (
    Lexicon,
    Trust,
    encode_lexicon,
    encode_lexicon_name,
    encode_trust,
    infer_request,
)
from distillex_client.selection import Selection
from distillex_client.tracing import Trace

Compression = Literal["gzip", "deflate"]
READINESS_TIMEOUT_S = 2.0
SENTENCE_PERIODS = "sentence_periods"
"""Parameter in the configuration of a served model whose documents are cut after periods too."""


@dataclass(frozen=True)
class Call:
    """What a caller asked for, fixed when the call begins. A call of many texts takes several requests."""

    lexicon: bytes
    lexicon_name: bytes
    trust: bytes
    with_versions: bool
    """Whether the caller gets the versions of the lexicons that answered."""
    request_ids: Iterator[str]
    trace: Trace
    expires: float | None
    """End of the whole call in ``time.monotonic()``; None: each request has the client's own deadline."""


@dataclass(frozen=True)
class Request:
    """One request, ready to be sent as often as it takes."""

    id: str
    message: Any
    """As gRPC sends it."""
    rows: int
    trace: Trace
    expires: float | None


@dataclass(frozen=True)
class ServedModel:
    """What a client has to know of the model that it calls."""

    largest_batch: int
    """Texts a request."""
    sentence_periods: bool = False
    """Whether documents are cut after periods of Latin text too."""

    @staticmethod
    def of(configuration: Any, batch_size: int) -> ServedModel:
        """Read Triton's configuration of the model; ``batch_size`` is what is wanted."""
        # 0 is Triton's way to say that a model takes no batches.
        largest = min(batch_size, max(configuration.max_batch_size, 1))
        said = configuration.parameters
        periods = SENTENCE_PERIODS in said and said[SENTENCE_PERIODS].string_value == "true"
        return ServedModel(largest, periods)


class ExtractorCore:
    """Settings of a client, and what it does between two waits."""

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
        metadata: Metadata | None = None,
        compression: Compression | None = None,
        min_score: float = 0.0,
        types: Iterable[str] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size} must be at least 1")
        if concurrency < 1:
            raise ValueError(f"concurrency {concurrency} must be at least 1")
        if timeout_s <= 0:
            raise ValueError(f"timeout_s {timeout_s} must be more than 0")
        if compression not in (None, "gzip", "deflate"):
            raise ValueError(f"compression {compression!r} is not 'gzip', 'deflate' or None")
        self.url = check_url(url)
        self.model = model
        self.model_version = model_version
        self.timeout_s = timeout_s
        self.retries = retries or Retries()
        self.batch_size = batch_size
        self.concurrency = concurrency
        self.compression = compression
        if tls is not None:
            tls.check()
        self._tls = tls
        self._selection = Selection(min_score, types)
        self._metadata: Metadata = metadata if callable(metadata) else checked_metadata(metadata or {})
        self._random = random.Random()
        self._served: ServedModel | None = None
        self._prepare()

    def _prepare(self) -> None:
        """Set up what a twin needs beyond the settings."""

    def _begin(
        self,
        lexicon: Lexicon | None,
        lexicon_name: str | None,
        trust: Trust | None,
        request_id: str | None,
        traceparent: str | None,
        timeout_s: float | None = None,
        *,
        with_versions: bool = False,
    ) -> Call:
        return Call(
            encode_lexicon(lexicon),
            encode_lexicon_name(lexicon_name),
            encode_trust(trust),
            with_versions,
            _request_ids(request_id),
            Trace.of(traceparent),
            None if timeout_s is None else time.monotonic() + timeout_s,
        )

    def _request(self, texts: Sequence[str | bytes], call: Call) -> Request:
        request_id = next(call.request_ids)
        message = infer_request(
            texts,
            call.lexicon,
            call.lexicon_name,
            call.trust,
            with_versions=call.with_versions,
            model_name=self.model,
            model_version=self.model_version,
            id=request_id,
        )
        return Request(request_id, message, len(texts), call.trace, call.expires)

    def _attempts(self, expires: float | None) -> Attempts:
        return Attempts(self.retries, time.monotonic() + self.timeout_s if expires is None else expires, self._random)

    def _traced(self, request: Request) -> AbstractContextManager[Mapping[str, str]]:
        """Put a span around a request, where the caller traces; yields headers for :meth:`_infer`."""
        return request.trace.request(self.url, self.model, request.id, request.rows)

    def _infer(self, stub: Any, request: Request, trace: Mapping[str, str], attempts: Attempts) -> Any:
        """Send a request; what comes back is the answer, or awaits it, as the stub is."""
        return stub.ModelInfer(
            request.message,
            timeout=attempts.timeout_s(),
            metadata=self._headers(trace),
            compression=self._grpc_compression(),
        )

    def _ask_configuration(self, stub: Any, attempts: Attempts) -> Any:
        """Ask for the model's configuration; what comes back is it, or awaits it."""
        from tritonclient.grpc import service_pb2

        question = service_pb2.ModelConfigRequest(name=self.model, version=self.model_version)
        return stub.ModelConfig(question, timeout=attempts.timeout_s(), metadata=self._headers({}))

    def _ask_server_ready(self, stub: Any, timeout_s: float) -> Any:
        """Ask whether the server is ready; the answer, or what awaits it, has ``ready``."""
        from tritonclient.grpc import service_pb2

        return stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=timeout_s, metadata=self._headers({}))

    def _ask_model_ready(self, stub: Any, timeout_s: float) -> Any:
        """Ask whether the model is ready; the answer, or what awaits it, has ``ready``."""
        from tritonclient.grpc import service_pb2

        question = service_pb2.ModelReadyRequest(name=self.model, version=self.model_version)
        return stub.ModelReady(question, timeout=timeout_s, metadata=self._headers({}))

    @staticmethod
    def _readiness_timeout_s(attempts: Attempts) -> float:
        return min(READINESS_TIMEOUT_S, attempts.timeout_s())

    @staticmethod
    def _says_ready(raised: Any) -> bool:
        """Read the error of a server asked whether it is ready; one that keeps it to itself counts as ready."""
        return not isinstance(error_from_grpc(raised), (ServerUnavailable, DeadlineExceeded))

    def _headers(self, trace: Mapping[str, str]) -> list[tuple[str, str]] | None:
        own = checked_metadata(self._metadata()) if callable(self._metadata) else self._metadata
        return list({**trace, **own}.items()) if trace or own else None

    def _grpc_compression(self) -> Any:
        if self.compression is None:
            return None
        import grpc

        return {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}[self.compression]

    def _look_for_tls(self, error: ExtractorError) -> ExtractorError:
        from distillex_client.tls_probe import named

        return named(error, self.url, self._tls)


def check_texts(texts: Any) -> None:
    """Refuse one text where several are taken, as its characters would be texts of their own, and what holds none."""
    if isinstance(texts, (str, bytes, bytearray)):
        raise TypeError(f"texts is one {type(texts).__name__}; give a list of texts, or call extract")
    if isinstance(texts, AsyncIterable):
        return
    try:
        iter(texts)
    except TypeError:
        raise TypeError(f"texts is {texts!r}, a {type(texts).__name__}; give a list of texts") from None


def entities_of(extraction: Extraction, row: int) -> list[Entity]:
    """Return the entities of one text; raises :class:`InvalidText` where it was refused."""
    if extraction.error is not None:
        error = InvalidText(f"text {row}: {extraction.error}", row)
        error.request_id = extraction.request_id
        raise error
    return list(extraction.entities)


def _request_ids(given: str | None) -> Iterator[str]:
    """Yield the given id, then the same with -1, -2, … for the further requests of a call; or random ones."""
    if given is None:
        while True:
            yield os.urandom(16).hex()
    yield given
    for number in count(1):
        yield f"{given}-{number}"
