"""A real receiver of OpenTelemetry's spans: the agent of the PyPI package rotel, which writes them into its log."""

from __future__ import annotations

import importlib.util
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from distillex_serving.preconditions import free_port

SPAN = re.compile(
    r"Span #\d+\s+Trace ID\s*: (?P<trace_id>\w*)\s+Parent ID\s*: (?P<parent_id>\w*)\s+ID\s*: (?P<span_id>\w+)"
    r"\s+Name\s*: (?P<name>\S+)"
)


@dataclass(frozen=True)
class ReceivedSpan:
    """What joins a span to others."""

    trace_id: str
    parent_id: str
    span_id: str
    name: str


def why_no_receiver() -> str | None:
    """Reason why it cannot be started here, or None."""
    return None if importlib.util.find_spec("rotel") else "rotel is not installed"


class OtlpReceiver:
    """Runs while the ``with`` lasts; ``endpoint`` takes OTLP/HTTP."""

    def __enter__(self) -> OtlpReceiver:
        spec = importlib.util.find_spec("rotel")
        assert spec is not None
        assert spec.origin is not None
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name) / "log"
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}/v1/traces"
        command = [Path(spec.origin).with_name("rotel-agent"), "start"]
        command += ["--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"]
        command += ["--otlp-http-endpoint", f"127.0.0.1:{port}", "--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}"]
        command += ["--pid-file", f"{self._folder.name}/pid", "--log-file", f"{self._folder.name}/own"]
        with self._log.open("w") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        self._wait(lambda: self._listens(port))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._folder.cleanup()

    @property
    def written(self) -> str:
        """All that it has written."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def spans(self) -> list[ReceivedSpan]:
        """Spans that came so far."""
        return [ReceivedSpan(**found.groupdict()) for found in SPAN.finditer(self.written)]

    def wait_for(self, name: str, count: int = 1) -> list[ReceivedSpan]:
        """Return the spans of a name, as soon as so many have come."""
        self._wait(lambda: len(self._named(name)) >= count)
        return self._named(name)

    def _named(self, name: str) -> list[ReceivedSpan]:
        return [span for span in self.spans() if span.name == name]

    def _wait(self, holds: Callable[[], bool], timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, self.written[-4000:]
            assert self._process.poll() is None, self.written[-4000:]
            time.sleep(0.1)

    @staticmethod
    def _listens(port: int) -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError:
            return False
        return True
