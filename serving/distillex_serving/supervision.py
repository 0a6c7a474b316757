"""Keep an embedded server up: notice that it or a stub died, say so, start it again, give up in the end."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from distillex_serving.embedded import EmbeddedServer
from distillex_serving.processes import session_members

LOG = logging.getLogger("distillex.serve")


@dataclass(frozen=True)
class RestartPolicy:
    """How often and how patiently to restart."""

    most_restarts: int = 5
    first_delay_s: float = 1.0
    """Doubled at each restart."""
    calm_s: float = 60.0
    """After so long without a death the count begins anew."""
    poll_s: float = 0.5


def supervise(server: EmbeddedServer, stop: threading.Event, policy: RestartPolicy | None = None) -> bool:
    """Watch a started server until ``stop`` is set.

    Returns
    -------
    bool
        True when stopped as asked; False when the server died more often than the policy allows.

    Raises
    ------
    PreconditionError, ServerError
        When a restart fails.
    """
    policy = policy or RestartPolicy()
    restarts = 0
    started = time.monotonic()
    while not stop.wait(policy.poll_s):
        missing = server.processes - _processes(server)
        if server.is_alive() and not missing:
            if time.monotonic() - started > policy.calm_s:
                restarts = 0
            continue
        what = "a Python-backend stub died" if server.is_alive() else "tritonserver died"
        LOG.error("%s; its last words:\n%s", what, "\n".join(server.last_log_lines(8)))
        restarts += 1
        if restarts > policy.most_restarts:
            LOG.error("gave up after %d restarts", policy.most_restarts)
            return False
        delay = policy.first_delay_s * 2 ** (restarts - 1)
        LOG.error("restarting in %.0f s (%d of %d)", delay, restarts, policy.most_restarts)
        server.stop()
        if stop.wait(delay):
            return True
        server.start()
        LOG.info("the server is ready again")
        started = time.monotonic()
    return True


def _processes(server: EmbeddedServer) -> set[int]:
    return set() if server.pid is None else set(session_members(server.pid))
