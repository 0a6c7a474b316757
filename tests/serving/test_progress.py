"""A server that lives and works no longer is noticed; one that is idle, slow or overloaded is left alone."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time

import pytest

pytest.importorskip("tritonclient.grpc")
from distillex_client import Extractor, ExtractorError, Retries
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.progress import PATIENCE, ProgressWatch, Work
from server_under_test import REPOSITORY, server_options, why_no_server


@pytest.fixture
def watch(monkeypatch):
    """A watch that sees what it is given, one look a call."""
    watching = ProgressWatch("http://127.0.0.1:1/metrics", poll_s=0.0)

    def look(seen):
        monkeypatch.setattr(watching, "_look", lambda: seen)
        return watching.standstill()

    return look


def test_a_queue_that_stands_still_is_named(watch):
    told = [watch({"decode": Work(5, 3), "student": Work(9, 0)}) for _ in range(PATIENCE + 1)]
    assert told[:PATIENCE] == [None] * PATIENCE
    assert told[PATIENCE] == "decode answers no longer, and 3 requests wait for it"


def test_a_queue_that_moves_once_in_a_while_is_left_alone(watch):
    for round_ in range(5):
        assert [watch({"decode": Work(round_, 300)}) for _ in range(PATIENCE)] == [None] * PATIENCE


def test_a_model_without_work_is_left_alone(watch):
    assert [watch({"decode": Work(5, 0)}) for _ in range(50)] == [None] * 50


def test_requests_that_were_given_up_do_not_hide_a_standstill(watch):
    seen = [Work(5, 1), Work(5, 0)] * (PATIENCE + 1)
    assert any(watch({"decode": work}) for work in seen)


def test_a_server_that_does_not_answer_is_noticed(watch):
    assert [watch(None) for _ in range(PATIENCE - 1)] == [None] * (PATIENCE - 1)
    assert watch({"decode": Work(1, 0)}) is None
    told = [watch(None) for _ in range(PATIENCE)]
    assert told[:-1] == [None] * (PATIENCE - 1)
    assert told[-1] == "tritonserver answers no longer"


HANGING = """
_execute = TritonPythonModel.execute


def _hang(self, requests):
    import time

    if not hasattr(self, "warm"):  # the warm-up; without it the server would not be ready
        self.warm = True
        return _execute(self, requests)
    time.sleep(600)


TritonPythonModel.execute = _hang
"""


@pytest.mark.server
def test_a_real_server_whose_model_hangs_is_noticed_and_can_be_stopped(tmp_path):
    if reason := why_no_server():
        pytest.skip(reason)
    shutil.copytree(REPOSITORY, tmp_path / "model_repository")
    with (tmp_path / "model_repository" / "extractor" / "1" / "model.py").open("a", encoding="utf-8") as file:
        file.write(HANGING)
    options = server_options(repository=tmp_path / "model_repository")
    with EmbeddedServer(options) as server, Extractor(server.grpc_url, retries=Retries(attempts=1)) as extractor:
        watching = ProgressWatch(server.metrics_url, poll_s=0.02)

        def call():
            with pytest.raises(ExtractorError):
                extractor.extract("甲")

        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
            time.sleep(0.3)  # the first ones hang, those after them wait
        deadline = time.monotonic() + 20
        while (told := watching.standstill()) is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert told.startswith("extractor answers no longer, and ")
        server.stop(timeout_s=0.5)
        for caller in callers:
            caller.join(20)
            assert not caller.is_alive()


@pytest.mark.server
def test_a_real_server_that_stands_still_is_noticed(monkeypatch):
    if reason := why_no_server():
        pytest.skip(reason)
    monkeypatch.setattr("distillex_serving.progress.TIMEOUT_S", 0.2)
    with EmbeddedServer(server_options()) as server:
        watching = ProgressWatch(server.metrics_url, poll_s=0.0)
        assert [watching.standstill() for _ in range(20)] == [None] * 20
        os.kill(server.pid, signal.SIGSTOP)
        try:
            # A look may be answered before the signal has reached every thread.
            told = [watching.standstill() for _ in range(PATIENCE + 3)]
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert told[-1] == "tritonserver answers no longer"
