"""A gRPC server that answers like Triton's, keeps what it was sent, and fails on demand.

For what the real server does not show (the headers and ids that reach it) or does not do when asked (refuse twice,
then answer).
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor


@dataclass(frozen=True)
class Received:
    """One request."""

    id: str
    model: tuple[str, str]
    rows: int
    headers: dict[str, str]
    seconds_left: float


@dataclass
class RecordingServer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Each text has the entities ``[]``; ``failures`` are used up first, one a request: statuses, or with a message."""

    max_batch_size: int = 64
    failures: deque[grpc.StatusCode | tuple[grpc.StatusCode, str]] = field(default_factory=deque)
    ready: bool = True
    """What it says of itself."""
    received: list[Received] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    """Requests are answered while it is set."""
    port: int = 0
    """0 takes a free one."""
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.gate.set()

    def __enter__(self) -> RecordingServer:
        self._server = grpc.server(ThreadPoolExecutor(16))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.url = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{self.port}')}"
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.stop(None).wait()

    def ServerReady(self, request, context):  # noqa: N802
        if not self.ready:
            # So says Triton while it stops.
            context.abort(grpc.StatusCode.UNAVAILABLE, "Server exiting")
        return service_pb2.ServerReadyResponse(ready=True)

    def ModelReady(self, request, context):  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=self.ready)

    def ModelConfig(self, request, context):  # noqa: N802
        answer = service_pb2.ModelConfigResponse()
        answer.config.max_batch_size = self.max_batch_size
        return answer

    def ModelInfer(self, request, context):  # noqa: N802
        texts = deserialize_bytes_tensor(request.raw_input_contents[0])
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            headers = {key: value for key, value in context.invocation_metadata() if key != "user-agent"}
            model = (request.model_name, request.model_version)
            self.received.append(Received(request.id, model, len(texts), headers, context.time_remaining()))
            failure = self.failures.popleft() if self.failures else None
        self.gate.wait(10)
        with self._lock:
            self._now -= 1
        if failure is not None:
            status, message = failure if isinstance(failure, tuple) else (failure, f"failed as told: {failure.name}")
            context.abort(status, message)
        return _answer(request.id, len(texts))


def _answer(request_id: str, rows: int):
    import numpy as np

    answer = service_pb2.ModelInferResponse(model_name="extractor", id=request_id)
    for name, value in (("ENTITIES", b"[]"), ("LEXICON_VERSION", b"base@1")):
        answer.outputs.add(name=name, datatype="BYTES", shape=[rows, 1])
        content = serialize_byte_tensor(np.full((rows, 1), value, dtype=object))
        answer.raw_output_contents.append(content.item())
    return answer
