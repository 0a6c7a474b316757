"""Inspect a running server: whether it is ready, what it serves, how fast it is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillex_client.batch.connection import Connection
from distillex_client.connection import open_line
from distillex_client.documents import split_document
from distillex_client.errors import ExtractorError, ModelNotFound, WrongUse, error_from_grpc
from distillex_client.extractor import Extractor
from distillex_client.printable import LINE_LAYOUT, printable

if TYPE_CHECKING:
    from rich.table import Table

PING_TEXT = "华为技术有限公司昨天与复旦大学在上海签署了一份合作协议书。"
BENCH_TEXT = """\
华为技术有限公司昨天与复旦大学在上海签署了一份合作协议书。双方将在芯片设计与人工智能领域开展联合研究，首批项目为期三年。
中国人民银行副行长周立群在北京表示，稳健的货币政策将保持连续性。记者林晓岚在发布会后采访了多位与会专家。
杭州的天气转凉，西湖边的游客比上周少了三成。
影片《长安的荔枝》上映首周票房突破两亿元，导演大鹏随剧组来到成都与观众见面。
北京大学教授李明远认为，短期内原材料价格仍会波动，企业应当做好库存管理，避免在高位大量采购，同时关注东南亚市场的需求变化。
在昨晚结束的比赛中，上海申花队以二比一战胜山东泰山队，主教练称赞了年轻球员的表现。
"""
# The models of all layouts. The server is started with its repository API closed, which alone could list them.
DISTILLEX_MODELS = ("extractor", "preprocess", "student", "decode", "extractor_teacher", "teacher", "lexicons")


@dataclass(frozen=True)
class PingAnswer:
    """Whether a server is ready, and milliseconds of one request of one sentence."""

    ready: bool
    p50_ms: float = 0.0
    max_ms: float = 0.0
    lexicon_version: str = ""
    problem: str = ""


@dataclass(frozen=True)
class ServedModel:
    """A model on the server."""

    name: str
    versions: list[str]
    platform: str
    ready: bool
    inputs: list[str]
    """Such as ``TEXT BYTES [-1, 1]``."""
    outputs: list[str]


@dataclass(frozen=True)
class BenchFigures:
    """What :func:`bench_server` measured."""

    sentences: int
    characters: int
    batch_size: int
    concurrency: int
    sentences_per_s: float
    characters_per_s: float
    single_requests: int
    single_p50_ms: float
    single_p95_ms: float
    single_p99_ms: float

    def describe(self) -> str:
        """Return the figures for people."""
        return (
            f"{self.sentences:,} sentences, batches of {self.batch_size}, {self.concurrency} in flight: "
            f"{self.sentences_per_s:,.0f} sentences/s, {self.characters_per_s:,.0f} characters/s\n"
            f"{self.single_requests:,} single sentences, one after the other: p50 {self.single_p50_ms:.2f} ms, "
            f"p95 {self.single_p95_ms:.2f} ms, p99 {self.single_p99_ms:.2f} ms"
        )


def ping_server(connection: Connection, count: int) -> PingAnswer:
    """Ask whether the model is ready, and time ``count`` requests."""
    with connection.extractor(batch_size=1, concurrency=1) as extractor:
        if not extractor.is_ready():
            return PingAnswer(False, problem=_why_not_ready(extractor))
        taken = []
        version = ""
        for _ in range(count):
            began = time.perf_counter()
            try:
                answer = next(iter(extractor.extract_stream([PING_TEXT])))
            except ExtractorError as error:
                return PingAnswer(False, problem=f"{type(error).__name__}: {error}")
            taken.append((time.perf_counter() - began) * 1000)
            version = answer.lexicon_version
    return PingAnswer(True, _percentile(taken, 50), max(taken), version)


def list_models(connection: Connection, names: Sequence[str] | None = None) -> list[ServedModel]:
    """Describe the models of a server.

    Parameters
    ----------
    connection
        The server.
    names
        Models to ask about, each of which has to exist; None: those of Distillex that are there.

    Raises
    ------
    ServerUnavailable, DeadlineExceeded
        When the server does not answer.
    ModelNotFound
        When one of ``names`` is not there.
    """
    import grpc

    line = open_line(connection.url, connection.tls, grpc)
    try:
        found = []
        for name in names or DISTILLEX_MODELS:
            try:
                found.append(_describe_model(line.stub, name, connection))
            except grpc.RpcError as error:
                failure = error_from_grpc(error)
                if names or not isinstance(failure, ModelNotFound):
                    raise failure from failure.__cause__
        return found
    finally:
        line.channel.close()


def models_table(models: Sequence[ServedModel]) -> Table:
    """Return a table for the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table("model", "versions", "ready", "inputs", "outputs")
    for model in models:
        ready = "yes" if model.ready else "no"
        cells = (model.name, ", ".join(model.versions), ready, "\n".join(model.inputs), "\n".join(model.outputs))
        table.add_row(*(Text(printable(cell, keep=LINE_LAYOUT)) for cell in cells))
    return table


def bench_text(file: Path | None) -> str:
    """Return the text to send.

    Raises
    ------
    WrongUse
        When the file cannot be read.
    """
    if file is None:
        return BENCH_TEXT
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise WrongUse(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WrongUse(f"{file}: not UTF-8 (byte {error.start})") from error


def bench_server(
    connection: Connection, text: str, *, sentences: int, requests: int, batch_size: int, concurrency: int
) -> BenchFigures:
    """Measure batches and single requests, after a warm-up that is not counted.

    Raises
    ------
    WrongUse
        When the text has no sentence.
    ExtractorError
        When the server fails.
    """
    pieces = [text[window.start : window.end] for window in split_document(text)]
    if not pieces:
        raise WrongUse("the text has no sentence")
    texts = [pieces[number % len(pieces)] for number in range(sentences)]
    with connection.extractor(batch_size=batch_size, concurrency=concurrency) as extractor:
        extractor.extract_batch(texts[: 2 * batch_size])
        began = time.perf_counter()
        extractor.extract_batch(texts)
        elapsed = time.perf_counter() - began
        taken = []
        for number in range(requests):
            began = time.perf_counter()
            extractor.extract(texts[number % len(texts)])
            taken.append((time.perf_counter() - began) * 1000)
    characters = sum(map(len, texts))
    return BenchFigures(
        sentences=len(texts),
        characters=characters,
        batch_size=batch_size,
        concurrency=concurrency,
        sentences_per_s=len(texts) / elapsed,
        characters_per_s=characters / elapsed,
        single_requests=requests,
        single_p50_ms=_percentile(taken, 50),
        single_p95_ms=_percentile(taken, 95),
        single_p99_ms=_percentile(taken, 99),
    )


def _why_not_ready(extractor: Extractor) -> str:
    try:
        extractor.extract(PING_TEXT)
    except ExtractorError as error:
        return f"{type(error).__name__}: {error}"
    return "it says that it is not ready"


def _describe_model(stub: Any, name: str, connection: Connection) -> ServedModel:
    from tritonclient.grpc import service_pb2

    call = {"metadata": connection.metadata or None, "timeout": connection.timeout_s}
    model = stub.ModelMetadata(service_pb2.ModelMetadataRequest(name=name), **call)
    return ServedModel(
        name=model.name,
        versions=list(model.versions),
        platform=model.platform,
        ready=stub.ModelReady(service_pb2.ModelReadyRequest(name=name), **call).ready,
        inputs=[_describe_tensor(tensor) for tensor in model.inputs],
        outputs=[_describe_tensor(tensor) for tensor in model.outputs],
    )


def _describe_tensor(tensor: Any) -> str:
    return f"{tensor.name} {tensor.datatype} {list(tensor.shape)}"


def _percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]
