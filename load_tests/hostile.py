"""Requests of people who wish the server ill: what is known to have ended a Triton, and random mutations.

What each listed request is answered with is part of the list. :mod:`attack` runs it all for long,
``tests/serving/test_hostile.py`` shortly.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

SERVICE = "/inference.GRPCInferenceService/"
INFER = f"{SERVICE}ModelInfer"
CALL_HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "x"),
    (":path", INFER),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]
GOOD_TEXT = "张三毕业于北京大学，现任华为技术有限公司副总裁。"
TEXT = {"TEXT": [GOOD_TEXT]}
COMMAND = {"TOKEN": ["a wrong token"], "COMMAND": ['{"action": "list"}']}
UNLIMITED = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
CLASSIFIED = "class result not available"
"""What Triton says of a string output asked for with classification, if it survives: the gate let it through."""
NEVER_ACCEPTABLE = (CLASSIFIED, "Traceback", ".py", "/tmp/", "/home/", "/root/", "/usr/")
"""What no answer may hold: a caller learns nothing of files and code either."""


class Caller:
    """A gRPC channel for messages of any bytes."""

    def __init__(self, url: str) -> None:
        self.url = url
        # A subchannel of its own: the server's limits count connections.
        self._channel = grpc.insecure_channel(url, options=(*UNLIMITED, ("grpc.use_local_subchannel_pool", 1)))

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def call(
        self,
        method: str,
        message: bytes,
        *,
        timeout_s: float = 60.0,
        compression: grpc.Compression = grpc.Compression.NoCompression,
    ) -> tuple[str, str]:
        """Send a message; return the status's name and what it says (the answer as text where it is OK)."""
        call = self._channel.unary_unary(method)
        try:
            answer: bytes = call(message, timeout=timeout_s, compression=compression)
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""
        return "OK", answer.decode("utf-8", "replace")

    def cancel_at_once(self, message: bytes) -> None:
        """Begin a call and take it back."""
        self._channel.unary_unary(INFER).future(message, timeout=30).cancel()


@dataclass(frozen=True)
class Hostile:
    """One request and the statuses that are right for it."""

    name: str
    method: str
    message: bytes
    expected: tuple[str, ...]
    compression: grpc.Compression = grpc.Compression.NoCompression

    def send(self, caller: Caller) -> tuple[str, str]:
        """Send it."""
        return caller.call(self.method, self.message, compression=self.compression)


Tensors = Mapping[str, Sequence[str | bytes]]
"""BYTES inputs by name."""


def infer_request(tensors: Tensors, model: str = "extractor") -> Any:
    """Return a request with one BYTES input of shape [rows, 1] each; a vector for the model ``lexicons``."""
    request = service_pb2.ModelInferRequest(model_name=model)
    for name, rows in tensors.items():
        shape = [len(rows)] if model == "lexicons" else [len(rows), 1]
        request.inputs.add(name=name, datatype="BYTES", shape=shape)
        request.raw_input_contents.append(framed(rows))
    return request


def framed(rows: Sequence[str | bytes]) -> bytes:
    """Return rows as Triton wants them: each behind its length."""
    encoded = [row.encode("utf-8", "surrogatepass") if isinstance(row, str) else row for row in rows]
    return b"".join(struct.pack("<I", len(row)) + row for row in encoded)


def field(
    number: int, content: bytes, *, long_tag: bool = False, long_length: bool = False, wide_tag: bool = False
) -> bytes:
    """Return a length-delimited protobuf field, by choice with its tag or length in another form than usual.

    Longer than needed, or (``wide_tag``) with a bit above the 32 that protobuf keeps of a tag.
    """
    tag = (number << 3 | 2) + (2**32 if wide_tag else 0)
    return _varint(tag, longer=long_tag) + _varint(len(content), longer=long_length) + content


def _varint(value: int, *, longer: bool = False) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    if longer:
        written[-1] |= 0x80
        written.append(0)
    return bytes(written)


def classification_requests() -> Iterator[Hostile]:
    """Yield the request that ends Triton 2.51, of each BYTES output, and in every way that protobuf reads."""
    refused = ("INVALID_ARGUMENT",)
    for model, output in (("extractor", "ENTITIES"), ("extractor", "LEXICON_VERSION"), ("lexicons", "RESULT")):
        for count in (0, 1, 3, -1, 2**40):
            request = infer_request(TEXT if model == "extractor" else COMMAND, model)
            request.outputs.add(name=output).parameters["classification"].int64_param = count
            yield Hostile(f"classification {count} of {model} {output}", INFER, request.SerializeToString(), refused)
    plain = infer_request(TEXT).SerializeToString()
    key, value = field(1, b"classification"), field(2, b"\x10\x01")
    entries = {
        "value before key": value + key,
        "two keys": field(1, b"x") + key + value,
        "long tag": field(1, b"classification", long_tag=True) + value,
        "long length": field(1, b"classification", long_length=True) + value,
        "unknown field first": field(9, b"xyz") + key + value,
        "no value": key,
    }
    for name, entry in entries.items():
        asked = field(1, b"ENTITIES") + field(2, entry)
        yield Hostile(f"classification, {name}", INFER, plain + field(6, asked), refused)
        yield Hostile(f"classification in front, {name}", INFER, field(6, asked) + plain, refused)
    asked = field(1, b"ENTITIES") + field(2, key + value)
    yield Hostile("classification, long tag of outputs", INFER, plain + field(6, asked, long_tag=True), refused)
    yield Hostile("classification, long length of outputs", INFER, plain + field(6, asked, long_length=True), refused)


def hidden_in_wide_tags() -> Iterator[Hostile]:
    """Yield fields with tags of more than 32 bits: protobuf drops what is above, and reads a field that it knows."""
    refused = ("INVALID_ARGUMENT",)
    good = infer_request(TEXT).SerializeToString()
    asked = field(1, b"ENTITIES") + field(2, field(1, b"classification") + field(2, b"\x10\x01"))
    hidden = {
        "another model": field(1, b"student", wide_tag=True),
        "an output": field(6, asked, wide_tag=True),
        "an output's parameter": field(6, field(1, b"ENTITIES") + field(2, asked[10:], wide_tag=True)),
        "a parameter's name": field(6, field(1, b"ENTITIES") + field(2, field(1, b"classification", wide_tag=True))),
        "an input": field(5, field(1, b"TEXT") + field(2, b"BYTES") + field(3, b"\1\1"), wide_tag=True),
        "a raw content": field(7, b"\xff\xff\xff\xff", wide_tag=True),
        "an id": field(3, b"i" * 20_000, wide_tag=True),
        "shared memory": field(5, field(1, b"TEXT") + field(4, field(1, b"shared_memory_region"), wide_tag=True)),
    }
    for name, content in hidden.items():
        yield Hostile(f"{name} under a wide tag", INFER, good + content, refused)
    wide = field(1, b"extractor") + field(1, b"student", wide_tag=True)
    yield Hostile("configuration of another model under a wide tag", f"{SERVICE}ModelConfig", wide, refused)


def costly_messages(size: int) -> Iterator[Hostile]:
    """Yield messages of very many parts, or with parts that an answer would repeat."""
    refused = ("INVALID_ARGUMENT",)
    model = field(1, b"extractor")
    parts = {
        "inputs": field(5, b""),
        "outputs": field(6, b""),
        "raw contents": field(7, b""),
        "parameters": field(4, b""),
        "unknown fields": field(15, b""),
        "unknown numbers": b"\x78\1",
    }
    for length in (size, 200_000):
        for name, part in parts.items():
            message = model + part * (length // len(part))
            yield Hostile(f"{length:,} bytes of empty {name}", INFER, message, refused)
        shape = field(5, field(1, b"TEXT") + field(2, b"BYTES") + field(3, b"\1" * length)) + field(7, framed(["x"]))
        yield Hostile(f"a shape of {length:,} ones", INFER, model + shape, refused)
        texts = field(5, field(1, b"TEXT") + field(2, b"BYTES") + field(3, b"\1\1")) + field(7, bytes(length))
        yield Hostile(f"{length // 4:,} empty texts", INFER, model + texts, refused)


def other_doors() -> Iterator[Hostile]:
    """Yield calls of methods and models that are not for callers."""
    for method in ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload", "SystemSharedMemoryStatus",
                   "SystemSharedMemoryRegister", "CudaSharedMemoryRegister", "TraceSetting", "LogSettings",
                   "ModelStatistics", "ModelStreamInfer", "NoSuchMethod"):  # fmt: skip
        yield Hostile(method, SERVICE + method, b"", ("UNIMPLEMENTED",))
    yield Hostile(
        "another service", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", b"", ("UNIMPLEMENTED",)
    )
    for model in ("preprocess", "student", "decode", "extractor\0", "EXTRACTOR", "../extractor", "", "张" * 30):
        request = infer_request(TEXT, model)
        yield Hostile(f"model {model!r}", INFER, request.SerializeToString(), ("NOT_FOUND",))
        for method in ("ModelReady", "ModelMetadata", "ModelConfig"):
            yield Hostile(f"{method} of {model!r}", SERVICE + method, field(1, model.encode()), ("NOT_FOUND",))
    hidden = infer_request(TEXT).SerializeToString() + field(1, b"student")
    yield Hostile("a second model name", INFER, hidden, ("NOT_FOUND",))


def lying_requests() -> Iterator[Hostile]:
    """Yield messages whose parts contradict each other."""
    refused = ("INVALID_ARGUMENT",)

    def changed(name: str, change: Callable[[Any], Any], expected: tuple[str, ...] = refused) -> Hostile:
        request = infer_request(TEXT)
        change(request)
        return Hostile(name, INFER, request.SerializeToString(), expected)

    def shape(*sizes: int) -> Callable[[Any], None]:
        def change(request: Any) -> None:
            del request.inputs[0].shape[:]
            request.inputs[0].shape.extend(sizes)

        return change

    def raw(content: bytes) -> Callable[[Any], None]:
        return lambda request: request.raw_input_contents.__setitem__(0, content)

    for sizes in ((2**62, 1), (-1, 1), (0, 1), (65, 1), (1, 2**62), (), (1,), (1, 1, 1), (2**32, 2**32), (2, 1)):
        yield changed(f"shape {sizes}", shape(*sizes))
    for length in (0, 2**31, 2**32 - 1, 10**6, 1):
        content = struct.pack("<I", length) + GOOD_TEXT.encode()
        yield changed(f"a text that says to have {length} bytes", raw(content))
    yield changed("no content", lambda r: r.ClearField("raw_input_contents"))
    yield changed("two contents", lambda r: r.raw_input_contents.append(b"x"))
    yield changed("both kinds of content", lambda r: r.inputs[0].contents.bytes_contents.append(b"x"))
    yield changed("a number's type", lambda r: setattr(r.inputs[0], "datatype", "INT32"))
    yield changed("an unknown type", lambda r: setattr(r.inputs[0], "datatype", "NOTHING"))
    yield changed("an unknown input", lambda r: setattr(r.inputs[0], "name", "N" * 10000))
    yield changed("a long id", lambda r: setattr(r, "id", "i" * 20000))
    yield changed("a long output", lambda r: r.outputs.add(name="N" * 20000))
    yield changed("an unknown output", lambda r: r.outputs.add(name="NOTHING"))
    yield changed(
        "a version of a model",
        lambda r: setattr(r, "model_version", "99"),
        ("NOT_FOUND", "UNAVAILABLE", "INVALID_ARGUMENT"),
    )
    yield changed("a version that is no number", lambda r: setattr(r, "model_version", "x/../y"))
    yield changed(
        "shared memory for an input",
        lambda r: r.inputs[0].parameters["shared_memory_region"].__setattr__("string_param", "x"),
        ("INVALID_ARGUMENT", "NOT_FOUND", "UNAVAILABLE"),
    )
    yield changed(
        "shared memory for an output",
        lambda r: r.outputs.add(name="ENTITIES").parameters["shared_memory_region"].__setattr__("string_param", "x"),
    )
    yield Hostile("nothing", INFER, b"", ("NOT_FOUND",))
    yield Hostile("random bytes", INFER, random.Random(1).randbytes(2000), refused)
    yield Hostile("groups", INFER, b"\x0b" * 10000, refused)
    yield Hostile("an endless number", INFER, b"\x80" * 1000, refused)


def bad_texts() -> Iterator[Hostile]:
    """Yield well-formed requests with contents that reach the models."""
    refused = ("INVALID_ARGUMENT",)
    deep = "[" * 200_000

    def of(name: str, tensors: Tensors, expected: tuple[str, ...] = refused, model: str = "extractor") -> Hostile:
        return Hostile(name, INFER, infer_request(tensors, model).SerializeToString(), expected)

    texts: dict[str, str | bytes] = {
        "not UTF-8": b"\xff\xfe\xfd",
        "a NUL": "a\0b",
        "lone surrogates": "\ud800",
        "two million characters": "长" * 2_000_000,
    }
    for name, text in texts.items():
        yield of(name, {"TEXT": [text]})
    words = {
        "deep JSON": deep,
        "a deep object": '{"a":' * 20_000,
        "a huge number": '{"a": ' + "9" * 50_000 + "}",
        "NaN": '{"a": NaN}',
        "surrogates in a word": '{"\\ud800": "name"}',
        "surrogates in a type": '{"word": "\\udfff"}',
        "not an object": "[]",
    }
    for name, lexicon in words.items():
        yield of(name, {**TEXT, "LEXICON": [lexicon]})
    for name in ("../../../etc/passwd", "base\0", "a" * 60_000):
        yield of(f"the lexicon {name[:20]!r}", {**TEXT, "LEXICON_NAME": [name]})
    for trust in ("must", "-1", "nan", "9" * 60_000, b"\xff" * 100):
        yield of(f"the trust {trust[:20]!r}", {**TEXT, "TRUST": [trust]})
    nested = json.dumps({"长" * n: "name" for n in range(1, 256)})
    yield of("nested words", {"TEXT": ["长" * 510], "LEXICON": [nested]}, ("OK", "INVALID_ARGUMENT"))
    commands = (deep, '{"a":' * 20_000, "9" * 50_000, '{"action": {}}', '{"action": "push", "name": []}', "", "null")
    for command in (*commands, "\ud800"):
        yield of(f"command {command[:20]!r}", {"TOKEN": ["x"], "COMMAND": [command]}, model="lexicons")
    push = '{"action": "push", "name": "x"}'
    yield of("a push without a token", {"TOKEN": [""], "COMMAND": [push], "CONTENT": [b"x" * 10**6]}, model="lexicons")
    yield of("two commands", {"TOKEN": ["x", "x"], "COMMAND": ["{}", "{}"]}, model="lexicons")


def oversized(max_request_bytes: int) -> Iterator[Hostile]:
    """Yield what is larger than the gate lets through, plain or once it is unpacked."""
    big = infer_request({"TEXT": [b"x" * max_request_bytes]}).SerializeToString()
    yield Hostile("over the size limit", INFER, big, ("RESOURCE_EXHAUSTED",))
    for kind in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        yield Hostile(f"a bomb, {kind.name}", INFER, big, ("UNIMPLEMENTED",), kind)


def listed_requests(max_request_bytes: int) -> list[Hostile]:
    """Return every request of the list."""
    return [
        *classification_requests(),
        *hidden_in_wide_tags(),
        *costly_messages(max_request_bytes - 1000),
        *other_doors(),
        *lying_requests(),
        *bad_texts(),
        *oversized(max_request_bytes),
    ]


class Mutations:
    """An endless supply of requests that were good once.

    Nine of ten keep Triton's framing and so reach the models' own code; the tenth is mutated as bytes.

    Parameters
    ----------
    seed
        The same seed gives the same requests.
    token
        The server's admin token: with it, mutated commands and lexicon files reach the store.
    lexicon
        Bytes of a compiled lexicon file to mutate.
    """

    def __init__(self, seed: int, token: str, lexicon: bytes) -> None:
        self._random = random.Random(seed)
        self._token = token
        self._lexicon = lexicon

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chance = self._random.random()
        request = self._lexicons_request() if chance < 0.15 else self._extractor_request()
        if chance > 0.95:
            # However its bytes are changed, nothing that protobuf reads as this may reach Triton.
            request.outputs.add(name="ENTITIES").parameters["classification"].int64_param = 1
        message: bytes = request.SerializeToString()
        return self._mutated(message) if chance > 0.9 else message

    def _extractor_request(self) -> Any:
        rows = self._random.choice((1, 1, 1, 2, 5))
        tensors: dict[str, Sequence[str | bytes]] = {"TEXT": [self._mutated(self._text()) for _ in range(rows)]}
        if self._random.random() < 0.5:
            tensors["LEXICON"] = [self._mutated(self._words()) for _ in range(rows)]
        if self._random.random() < 0.3:
            tensors["LEXICON_NAME"] = [self._mutated(b"base") for _ in range(rows)]
        if self._random.random() < 0.3:
            tensors["TRUST"] = [self._mutated(self._random.choice((b"insist", b"2.5", b""))) for _ in range(rows)]
        return infer_request(tensors)

    def _lexicons_request(self) -> Any:
        action = self._random.choice(("push", "rollback", "list", "prune", "remove"))
        command = json.dumps(
            {"action": action, "name": "fuzz", "version": self._random.choice((None, 1, 2)), "keep": 1}
        )
        token = self._token if self._random.random() < 0.8 else "wrong"
        tensors: dict[str, Sequence[str | bytes]] = {
            "TOKEN": [token.encode()],
            "COMMAND": [self._mutated(command.encode())],
        }
        if action == "push":
            tensors["CONTENT"] = [self._mutated(self._lexicon)]
        return infer_request(tensors, "lexicons")

    def _text(self) -> bytes:
        return (GOOD_TEXT * self._random.choice((1, 1, 2, 20))).encode()

    def _words(self) -> bytes:
        words: dict[str, Any] = {
            "华为技术": "company",
            "张三": "name",
            "大学": None,
            "x": self._random.choice(("name", 1, [], {}, "?")),
        }
        return json.dumps(words, ensure_ascii=False).encode()

    def _mutated(self, content: bytes) -> bytes:
        changed = bytearray(content)
        for _ in range(self._random.choice((0, 1, 1, 2, 8))):
            kind = self._random.randrange(5)
            at = self._random.randrange(len(changed) + 1)
            if kind == 0 and at < len(changed):
                changed[at] ^= 1 << self._random.randrange(8)
            elif kind == 1:
                changed[at:at] = self._random.randbytes(self._random.choice((1, 4, 50)))
            elif kind == 2:
                del changed[at : at + self._random.choice((1, 4, 50))]
            elif kind == 3:
                changed[at:at] = changed[at : at + self._random.choice((4, 200))]
            else:
                changed[at:at] = self._random.choice(TELLING)
        return bytes(changed)


TELLING = [b"\0", b"\xff" * 4, b"\xed\xa0\x80", b"\xf4\x8f\xbf\xbf", "\u202e".encode(), "\ufeff".encode(), b"[" * 300,
           b'{"":', b"NaN", b"9" * 400, b"../", b"\\ud800", b"%s%n", b"\r\n\r\n"]  # fmt: skip


def hostile_connections(host: str, port: int, count: int) -> list[str]:
    """Send what is no gRPC at all, on connections of its own; return how each ended, for the curious."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\0" + bytes(4)
    ping = b"\0\0\x08\x06\0" + bytes(12)
    kinds = {
        "random bytes": random.Random(2).randbytes(4096),
        "HTTP/1.1": b"POST /v2/models/extractor/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n"
        + b"[" * 200_000,
        "a flood of pings": preface + ping * 20_000,
        "a flood of settings": preface + (bytes(3) + b"\x04\0" + bytes(4)) * 20_000,
        "a frame that lies about its length": preface + b"\xff\xff\xff\0\0" + bytes(4) + b"x" * 1000,
        "an unfinished preface": preface[:10],
    }
    ends = []
    for name, content in kinds.items():
        for _ in range(count):
            with socket.create_connection((host, port), timeout=5) as connection:
                try:
                    connection.sendall(content)
                    connection.settimeout(0.2)
                    connection.recv(4096)
                    ends.append(f"{name}: answered")
                except OSError as error:
                    ends.append(f"{name}: {type(error).__name__}")
    return ends


def open_idle_connections(host: str, port: int, count: int, hold_s: float) -> None:
    """Open connections, say nothing, and keep them for a while."""
    held = []
    try:
        for _ in range(count):
            held.append(socket.create_connection((host, port), timeout=5))
        time.sleep(hold_s)
    except OSError:
        pass
    finally:
        for connection in held:
            connection.close()


def hold_uploads(host: str, port: int, connections: int, streams: int, size: int, hold_s: float) -> int:
    """Begin many requests and end none: headers, then ``size`` bytes each. Returns the bytes that were taken."""
    import h2.connection
    import h2.exceptions

    open_ones = []
    for _ in range(connections):
        state = h2.connection.H2Connection()
        state.initiate_connection()
        open_ones.append((socket.create_connection((host, port), timeout=5), state))
    numbers = [1 + 2 * k for k in range(streams)]
    sent: dict[tuple[int, int], int] = {}
    deadline = time.monotonic() + hold_s
    try:
        while open_ones and time.monotonic() < deadline:
            for connection, state in list(open_ones):
                try:
                    for number in numbers:
                        _upload_on(state, number, size, sent, (id(state), number))
                    connection.settimeout(2)
                    connection.sendall(state.data_to_send())
                    connection.settimeout(0.002)
                    received = connection.recv(65536)
                    if not received:
                        raise ConnectionResetError
                    state.receive_data(received)
                except TimeoutError:
                    continue
                except (OSError, h2.exceptions.ProtocolError):
                    connection.close()
                    open_ones.remove((connection, state))
    finally:
        for connection, _ in open_ones:
            connection.close()
    return sum(sent.values())


def _upload_on(state: Any, number: int, size: int, sent: dict[tuple[int, int], int], key: tuple[int, int]) -> None:
    import h2.exceptions

    if key not in sent:
        state.send_headers(number, CALL_HEADERS)
        sent[key] = 0
    try:
        some = min(state.local_flow_control_window(number), 16_000, size - sent[key])
        if some > 0:
            state.send_data(number, bytes(some))
            sent[key] += some
    except h2.exceptions.ProtocolError:
        # The gate ended this one.
        sent[key] = size


def two_messages_in_one_call(host: str, port: int, message: bytes) -> str | None:
    """Send frames that a gRPC library would not: two messages in a unary call. Returns the ``grpc-status``."""
    framed_message = b"\0" + struct.pack(">I", len(message)) + message
    return _raw_call(host, port, framed_message * 2)


def compressed_flag_without_encoding(host: str, port: int, message: bytes) -> str | None:
    """Send a message that says to be compressed under headers that say it is not. Returns the ``grpc-status``."""
    return _raw_call(host, port, b"\1" + struct.pack(">I", len(message)) + message)


def _raw_call(host: str, port: int, body: bytes) -> str | None:
    import h2.config
    import h2.connection
    import h2.events

    state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    with socket.create_connection((host, port), timeout=10) as connection:
        state.initiate_connection()
        state.send_headers(1, CALL_HEADERS)
        state.send_data(1, body, end_stream=True)
        connection.sendall(state.data_to_send())
        while True:
            received = connection.recv(65536)
            if not received:
                return None
            for event in state.receive_data(received):
                if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    for name, value in event.headers:
                        if name == "grpc-status":
                            return str(value)
                if isinstance(event, h2.events.StreamReset):
                    return None
            connection.sendall(state.data_to_send())
