"""A stand-in for the LLM of the tutorial: it speaks OpenAI's protocol and knows the words of a tea shop."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = {"tea": ("龙井", "乌龙", "普洱", "毛尖", "碧螺春"), "size": ("大杯", "中杯", "小杯")}


class Handler(BaseHTTPRequestHandler):
    """Answers each question with the words that stand in its text."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][-1]["content"]
        entities = [{"text": w, "type": kind} for kind, words in WORDS.items() for w in words if w in text]
        message = {"role": "assistant", "content": json.dumps({"entities": entities}, ensure_ascii=False)}
        content = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def llm_server() -> Iterator[str]:
    """Serve on a free port of 127.0.0.1; yields its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
