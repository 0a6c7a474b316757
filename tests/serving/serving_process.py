"""``distillex serve`` as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

from distillex_serving.processes import status_of


class Serving:
    """A ``distillex serve`` process and what it printed."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "distillex.command.main", "serve"]
        ports = ["--grpc-port", "0", "--http-port", "0", "--metrics-port", "0"]
        environment = os.environ | {"COLUMNS": "200"}
        self.process = subprocess.Popen(
            [*command, *ports, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self.lines = []

    def wait_for(self, pattern, timeout_s=60):
        # Reading a pipe has no deadline of its own: a silent process is ended.
        alarm = threading.Timer(timeout_s, self.process.kill)
        alarm.start()
        try:
            for line in self.process.stdout:
                self.lines.append(line)
                if found := re.search(pattern, line):
                    return found
        finally:
            alarm.cancel()
        raise AssertionError(f"{pattern!r} was not printed:\n{''.join(self.lines)}")

    def tritonserver(self):
        """The process id, that of its session too; None before it runs."""
        statuses = filter(None, map(status_of, self.children()))
        return next((status.pid for status in statuses if status.command == "tritonserver"), None)

    def children(self):
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for children in tasks for pid in children.read_text(encoding="ascii").split()]
