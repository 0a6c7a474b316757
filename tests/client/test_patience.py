"""A batch run waits for a server that is away; what that is, and what is a record's own fault, it tells apart."""

from __future__ import annotations

import grpc
import pytest
from distillex_client.batch.connection import Connection
from distillex_client.batch.patience import PatientCaller
from distillex_client.errors import BatchStopped, WrongUse
from recording_server import RecordingServer

STUB_DIED = (grpc.StatusCode.INTERNAL, "in ensemble 'extractor', Stub process 'decode_0_0' is not healthy.")
STOPPING = (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'extractor' has no available versions")
UNKNOWN_MODEL = (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'extractor' is not found")


@pytest.fixture
def recorder():
    with RecordingServer() as running:
        yield running


@pytest.fixture
def call(recorder, monkeypatch):
    """Send texts as a batch run does, with shorter waits."""
    monkeypatch.setattr(PatientCaller, "_wait", without_waiting(PatientCaller._wait))

    def send(texts, retry_for_s=10.0):
        with Connection(recorder.url).extractor(batch_size=64, concurrency=1) as extractor:
            return PatientCaller(extractor, retry_for_s=retry_for_s).call(texts)

    return send


def without_waiting(wait):
    def shorter(self, attempt, first_failure, failure):
        self._random.uniform = lambda low, high: 0.001
        wait(self, attempt, first_failure, failure)

    return shorter


@pytest.mark.parametrize("failure", [STUB_DIED, STOPPING])
@pytest.mark.parametrize("ready", [True, False])
def test_a_restart_makes_no_bad_record(call, recorder, failure, ready):
    recorder.ready = ready
    recorder.failures.extend([failure] * 8)
    found = call(["甲", "乙"])
    assert [extraction.error for extraction in found] == [None, None]
    assert {received.rows for received in recorder.received} == {2}


def test_a_model_that_is_not_there_is_told_at_once(call, recorder):
    recorder.failures.extend([UNKNOWN_MODEL] * 8)
    with pytest.raises(WrongUse, match="ModelNotFound"):
        call(["甲"])
    assert len(recorder.received) == 1


def test_a_server_that_stays_away_stops_the_run(call, recorder):
    recorder.failures.extend([STUB_DIED] * 1000)
    with pytest.raises(BatchStopped, match="not healthy"):
        call(["甲"], retry_for_s=0.1)


def test_a_text_on_which_a_ready_server_fails_is_a_bad_record(call, recorder):
    recorder.failures.extend([grpc.StatusCode.INTERNAL] * 3)
    (found,) = call(["甲"])
    assert found.error.startswith("the server failed on it: INTERNAL")
