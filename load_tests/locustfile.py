"""Locust users that call a Distillex server over gRPC with realistic traffic (traffic.py).

    distillex serve                                                # in another shell
    locust -f load_tests/locustfile.py                             # Locust's web page on http://localhost:8089
    locust -f load_tests/locustfile.py --headless -u 8 -t 30s      # without it

The host is the server's gRPC address, 127.0.0.1:8001 by default. A document counts as one call, however many requests
it takes. An answer with an error row, or with another number of rows than was sent, counts as a failure.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import gevent
import grpc.experimental.gevent
import numpy as np
import tritonclient.grpc as triton
from locust import User, events, task
from traffic import Call, Traffic

grpc.experimental.gevent.init_gevent()

START, STOP = "#start", "#stop"
TIMEOUT_S = 60.0
ENVIRONMENTS: list[Any] = []
"""Locust's environment, once it is there: the event of the last user's arrival does not bring it."""
NUMBERS = itertools.count(1)
"""Each user has a stream of calls of its own."""


class CallError(RuntimeError):
    """The server refused a call, or did not answer what was asked for; Locust shows the message."""


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: Any) -> None:
    """Declare our options; they stand in Locust's web page too."""
    group = parser.add_argument_group("Distillex")
    group.add_argument("--model", default="extractor", help="extractor, or extractor_teacher")
    group.add_argument(
        "--user-rate", type=float, default=0.0, help="Calls a second of each user; 0: as fast as answers come"
    )
    group.add_argument("--seed", type=int, default=1, help="Seed of the first user's calls")
    group.add_argument("--kinds", default="", help='JSON of other shares, such as {"single": 1}; see traffic.py')
    group.add_argument(
        "--stage-seconds", type=float, default=0.0, help="Stop so long after all users are there; 0: see --run-time"
    )
    group.add_argument("--record", default="", help="Write every call as a line of CSV: end, kind, texts, ms, error")


class Recorder:
    """Writes each call's end (seconds since the epoch), kind, texts, milliseconds and error.

    Lines of the kinds START and STOP tell when all users were there, and when they were told to go.
    """

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8")

    def write(
        self,
        name: str,
        response_time: float,
        exception: BaseException | None,
        context: dict[str, Any],
        **_: Any,
    ) -> None:
        """Receive Locust's event of a finished call."""
        error = "" if exception is None else " ".join(str(exception).split()).replace(",", ";")[:200]
        self._file.write(f"{time.time():.6f},{name},{context['texts']},{response_time:.4f},{error}\n")

    def mark(self, kind: str) -> None:
        """Note a moment."""
        self._file.write(f"{time.time():.6f},{kind},0,0,\n")

    def close(self, **_: Any) -> None:
        """Receive Locust's event of the end."""
        self._file.close()


@events.init.add_listener  # type: ignore[untyped-decorator]
def start_recorder(environment: Any, **_: Any) -> None:
    """Record where asked to."""
    ENVIRONMENTS.append(environment)
    options = environment.parsed_options
    if options is not None and options.record:
        recorder = Recorder(Path(options.record))
        environment.events.request.add_listener(recorder.write)
        environment.events.spawning_complete.add_listener(lambda **_: recorder.mark(START))
        environment.events.test_stopping.add_listener(lambda **_: recorder.mark(STOP))
        environment.events.quit.add_listener(recorder.close)


@events.quit.add_listener  # type: ignore[untyped-decorator]
def end_process(exit_code: int, **_: Any) -> None:
    """End at once, after all other listeners: under gevent, gRPC sometimes never lets the interpreter finish."""

    def end() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)

    atexit.register(end)


@events.spawning_complete.add_listener  # type: ignore[untyped-decorator]
def stop_after_stage(user_count: int, **_: Any) -> None:  # noqa: ARG001
    """Stop in time; Locust's own --run-time counts from before the users are there, and loses short runs."""
    if ENVIRONMENTS and (seconds := ENVIRONMENTS[0].parsed_options.stage_seconds) > 0:
        gevent.spawn(_stop_at, ENVIRONMENTS[0].runner, time.monotonic() + seconds)


def _stop_at(runner: Any, deadline: float) -> None:
    while time.monotonic() < deadline:
        gevent.sleep(0.05)
    runner.quit()


class GrpcUser(User):  # type: ignore[misc]
    """A user with a gRPC connection of its own to a Triton server."""

    abstract = True

    def on_start(self) -> None:
        """Connect."""
        self.triton = triton.InferenceServerClient(self.host)

    def on_stop(self) -> None:
        """Disconnect."""
        self.triton.close()

    def call(self, model: str, call: Call) -> None:
        """Send a call's requests and report them to Locust as one."""
        error: CallError | None = None
        size = 0
        inputs = [_inputs(texts, call.lexicon) for texts in call.requests]
        began = time.perf_counter()
        try:
            for tensors, texts in zip(inputs, call.requests, strict=True):
                answer = self.triton.infer(model, tensors, client_timeout=TIMEOUT_S)
                size += _check(answer.as_numpy("ENTITIES"), len(texts))
        except triton.InferenceServerException as caught:
            error = CallError(str(caught))
        except CallError as caught:
            error = caught
        self.environment.events.request.fire(
            request_type=model,
            name=call.kind,
            response_time=(time.perf_counter() - began) * 1000,
            response_length=size,
            exception=error,
            context={"texts": call.texts},
        )


class ExtractorUser(GrpcUser):
    """Sends one call after the other, as traffic.py draws them."""

    host = "127.0.0.1:8001"

    def on_start(self) -> None:
        """Connect, and begin a stream of calls."""
        super().on_start()
        options = self.environment.parsed_options
        shares = json.loads(options.kinds) if options.kinds else None
        seed = options.seed + 1000 * next(NUMBERS)
        self._traffic = Traffic(seed, shares)
        self._arrivals, self._due = random.Random(seed), time.monotonic()

    def wait_time(self) -> float:
        """Seconds until the next call: none, or those of a Poisson process of the asked rate.

        Users of a constant rate (Locust's ``constant_throughput``) all begin together and would stay in step: each call
        would then wait for all the others, the longer the less there is to do.
        """
        rate = self.environment.parsed_options.user_rate
        if rate <= 0:
            return 0.0
        self._due += self._arrivals.expovariate(rate)
        return max(0.0, self._due - time.monotonic())

    @task  # type: ignore[untyped-decorator]
    def extract(self) -> None:
        """Make the next call."""
        self.call(self.environment.parsed_options.model, next(self._traffic))


def _inputs(texts: tuple[str, ...], lexicon: dict[str, str] | None) -> list[triton.InferInput]:
    rows = {"TEXT": [text.encode() for text in texts]}
    if lexicon is not None:
        rows["LEXICON"] = [json.dumps(lexicon, ensure_ascii=False).encode()] * len(texts)
    tensors = []
    for name, values in rows.items():
        tensor = triton.InferInput(name, [len(values), 1], "BYTES")
        tensor.set_data_from_numpy(np.array(values, dtype=np.object_).reshape(-1, 1))
        tensors.append(tensor)
    return tensors


def _check(entities: np.ndarray[Any, Any], rows: int) -> int:
    """Raise CallError unless every row is a list of entities; return the size in bytes."""
    if len(entities) != rows:
        raise CallError(f"{len(entities)} rows came back for {rows} texts")
    for content in entities.reshape(-1):
        if not content.startswith(b"["):
            raise CallError(f"an error row came back: {content[:120]!r}")
    return sum(map(len, entities.reshape(-1)))
