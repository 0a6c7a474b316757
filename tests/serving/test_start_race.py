"""A start that Triton itself loses on a busy machine is repeated; every other failure is told at once."""

from __future__ import annotations

import pytest
from distillex_serving import embedded
from distillex_serving.embedded import EmbeddedServer, ServerError
from server_under_test import ROOT, server_options, why_no_server


@pytest.fixture
def failing_starts(monkeypatch):
    """A server whose first starts end with the given last words."""
    if reason := why_no_server():
        pytest.skip(reason)

    def build(last_words):
        server = EmbeddedServer(server_options(ROOT / "lexicons"))
        starts = []

        def launch(*_):
            starts.append(len(starts))
            server._log.lines.clear()
            if len(starts) <= len(last_words):
                server._log.lines.append(last_words[len(starts) - 1])
                raise ServerError("tritonserver ended before it was ready")

        monkeypatch.setattr(server, "_launch", launch)
        return server, starts

    return build


RACE = "terminate called after throwing an instance of 'boost::interprocess::lock_exception'"


def test_a_lost_race_is_run_again(failing_starts):
    server, starts = failing_starts([RACE, RACE])
    server.start()
    assert len(starts) == 3
    server.stop()


@pytest.mark.parametrize(
    ("last_words", "expected"),
    [([RACE] * 9, embedded.MOST_STARTS), (["UNAVAILABLE: Invalid argument"], 1)],
    ids=["lost every time", "another reason"],
)
def test_in_the_end_the_failure_is_told_and_nothing_is_left(failing_starts, last_words, expected):
    server, starts = failing_starts(last_words)
    with pytest.raises(ServerError):
        server.start()
    assert len(starts) == expected
    assert server._workspace is None
