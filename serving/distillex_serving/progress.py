"""Detect a server that runs but makes no progress: no answers, or a stuck queue.

Triton's readiness does not tell: it stays good while a model hangs. The metrics do. No request of our own is sent for
it, which would wait behind an overload and count in the statistics.
"""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass

POLL_S = 5.0
PATIENCE = 6
"""Polls in a row without progress: half a minute, and none where the whole machine stood still."""
TIMEOUT_S = 2.0
METRIC = re.compile(
    r"^nv_inference_(?P<what>request_success|request_failure|pending_request_count)"
    r'\{model="(?P<model>[^"]+)".*\} (?P<value>\S+)$',
    re.MULTILINE,
)


@dataclass(frozen=True)
class Work:
    """What a model has done since its start, and how many requests wait for it."""

    done: int
    waiting: int


class ProgressWatch:
    """Looks at a server's metrics every few seconds.

    Parameters
    ----------
    metrics_url
        Where they are.
    poll_s
        Seconds between two looks.
    """

    def __init__(self, metrics_url: str, poll_s: float = POLL_S) -> None:
        self._metrics_url = metrics_url
        self._poll_s = poll_s
        self._next_look = time.monotonic() + poll_s
        self._told: str | None = None
        self._silent = 0
        self._seen: dict[str, Work] = {}
        self._stuck: Counter[str] = Counter()

    def standstill(self) -> str | None:
        """Return what stands still, in words; None while all goes on. What was said once is said again."""
        if self._told is None and time.monotonic() >= self._next_look:
            self._told = self._judge(self._look())
            self._next_look = time.monotonic() + self._poll_s
        return self._told

    def _judge(self, work: dict[str, Work] | None) -> str | None:
        if work is None:
            self._silent += 1
            return "tritonserver answers no longer" if self._silent >= PATIENCE else None
        self._silent = 0
        for model, now in work.items():
            before = self._seen.get(model)
            if before is None or now.done != before.done:
                self._stuck[model] = 0
            elif now.waiting:
                self._stuck[model] += 1
        self._seen = work
        stuck = sorted(model for model in work if work[model].waiting and self._stuck[model] >= PATIENCE)
        return f"{stuck[0]} answers no longer, and {work[stuck[0]].waiting} requests wait for it" if stuck else None

    def _look(self) -> dict[str, Work] | None:
        try:
            with urllib.request.urlopen(self._metrics_url, timeout=TIMEOUT_S) as answer:
                content = answer.read().decode(errors="replace")
        except (urllib.error.URLError, OSError):
            return None
        done: Counter[str] = Counter()
        waiting: Counter[str] = Counter()
        for match in METRIC.finditer(content):
            counted = waiting if match["what"] == "pending_request_count" else done
            counted[match["model"]] += int(float(match["value"]))
        return {model: Work(done[model], waiting[model]) for model in {*done, *waiting}}
