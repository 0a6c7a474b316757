"""A service for supervision: one or several processes that are started, watched and stopped together."""

from __future__ import annotations

from typing import Protocol


class Service(Protocol):
    """Something that runs beside this process until it is stopped, such as tritonserver.

    Each service is watched, stopped and started from one thread of its own, in turn; ``stop`` alone may come from
    another thread while ``start`` waits, which then raises.
    """

    @property
    def name(self) -> str:
        """How the log calls it: ``tritonserver``, ``the gate``."""
        ...

    def start(self) -> None:
        """Start and wait until it answers. A second start uses the ports of the first.

        Raises
        ------
        PreconditionError
            When this machine lacks something; says what.
        ServerError
            When it does not begin to answer; holds its own words.
        """
        ...

    def stop(self) -> None:
        """End all that was started; does nothing where nothing runs."""
        ...

    def failure(self) -> str | None:
        """Return None while all is well, else what happened in words, such as ``tritonserver died``.

        Asked every half second; an answer that takes a second or two holds up nothing else.
        """
        ...

    def last_log_lines(self, count: int) -> list[str]:
        """Return the last lines that it printed."""
        ...
