"""A stand-in for an OpenAI-compatible server: it finds the toy language's entities, and misbehaves as it is told."""

import contextlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from conftest import COMPANIES, GIVEN, SURNAMES

NAME = re.compile(f"[{SURNAMES}][{GIVEN}]")
COMPANY = re.compile("|".join(COMPANIES))


def entities_of(text):
    found = [(NAME, "name"), (COMPANY, "company")]
    return [{"text": match, "type": kind} for pattern, kind in found for match in pattern.findall(text)]


def answer(text, **more):
    """The JSON that a good model writes."""
    return json.dumps({"entities": [entity | more for entity in entities_of(text)]}, ensure_ascii=False)


class ChatServer:
    """Answers on a free port of 127.0.0.1; ``behave(text, body, count)`` says how, None means well.

    It returns the content of the message, or (status, headers, bytes), and may wait before; ``count`` is how often the
    text was asked about before.
    """

    def __init__(self, behave=lambda text, body, count: None):
        self.behave = behave
        self.asked = []
        """Body and headers of each request."""
        self.answered = []
        """Texts in the order of their good answers."""
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self._send(*outer.handle(self.path, body, dict(self.headers)))

            def _send(self, status, headers, content):
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def handle(self, path, body, headers):
        if path != "/v1/chat/completions":
            return 404, {}, b'{"error": {"message": "no such path"}}'
        text = body["messages"][-1]["content"]
        with self._lock:
            count = sum(asked["messages"][-1]["content"] == text for asked, _ in self.asked)
            self.asked.append((body, headers))
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            said = self.behave(text, body, count)
        finally:
            with self._lock:
                self._now -= 1
        if isinstance(said, tuple):
            return said
        finish = "stop"
        if isinstance(said, dict):
            finish, said = said["finish_reason"], said["content"]
        with self._lock:
            if said is None:
                self.answered.append(text)
        choice = {"message": {"role": "assistant", "content": answer(text) if said is None else said}}
        usage = {"prompt_tokens": 100, "completion_tokens": 10}
        content = {"choices": [choice | {"finish_reason": finish}], "usage": usage}
        return 200, {}, json.dumps(content, ensure_ascii=False).encode()

    def texts(self):
        return [body["messages"][-1]["content"] for body, _ in self.asked]


def refusal(status, message, **headers):
    return (
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps({"error": {"message": message}}).encode(),
    )


def wait_until(condition, limit_s=300):
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)
