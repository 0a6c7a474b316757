"""Requests that no client of ours sends, straight to each model: one sentence each, and nothing of the inside."""

from __future__ import annotations

import threading

import numpy as np
import pytest

triton = pytest.importorskip("tritonclient.grpc")
from plain_triton import bytes_tensor, extract  # noqa: E402

pytestmark = pytest.mark.server

TEXT = "张三毕业于北京大学。"


def tensor(name, values):
    values = np.asarray(values)
    kind = {"float32": "FP32", "int32": "INT32"}[str(values.dtype)]
    found = triton.InferInput(name, list(values.shape), kind)
    found.set_data_from_numpy(values)
    return found


def features(rows=1, tokens=16, **changed):
    words = np.zeros((rows, tokens, 4, 4), np.int32)
    values = {
        "INPUT_IDS": np.ones((rows, tokens), np.int32),
        "LEXICON_TYPES": words,
        "LEXICON_WORDS": words,
        "LEXICON_WEIGHTS": np.ones(words.shape, np.float32),
    }
    return [tensor(name, value) for name, value in (values | changed).items()]


def scores(emissions, *, lengths=((3,),), text=b"ab", words=b"", error=b""):
    return [
        bytes_tensor("TEXT", [text]),
        tensor("EMISSIONS", np.asarray(emissions, np.float32)),
        tensor("LENGTH", np.array(lengths, np.int32)),
        bytes_tensor("WORDS", [words]),
        bytes_tensor("ERROR", [error]),
    ]


LABELS = 41
STUDENT = "the features could not be scored; the server's log says why"
DECODE = "the model gave scores that cannot be decoded; the server's log says why"
UNEXPECTED = {
    "character ids outside the table": ("student", features(INPUT_IDS=np.full((1, 16), 10**6, np.int32)), STUDENT),
    "types outside the table": ("student", features(LEXICON_TYPES=np.full((1, 16, 4, 4), -9999, np.int32)), STUDENT),
    "lengths that differ": ("student", features(LEXICON_WEIGHTS=np.zeros((1, 8, 4, 4), np.float32)), STUDENT),
    "an error that is not UTF-8": ("decode", scores(np.zeros((1, 4, LABELS)), error=b"\xff\n"), DECODE),
    "words that nobody packed": ("decode", scores(np.zeros((1, 4, LABELS)), words=b"\xff" * 13), DECODE),
    "too few labels": ("decode", scores(np.zeros((1, 4, 3))), DECODE),
    "a length past the end": ("decode", scores(np.zeros((1, 4, LABELS)), lengths=((99,),)), DECODE),
    "a length below nought": ("decode", scores(np.zeros((1, 4, LABELS)), lengths=((-7,),)), DECODE),
    "no numbers": ("decode", scores(np.full((1, 4, LABELS), np.nan)), DECODE),
}


@pytest.fixture(scope="module")
def divided(ensemble):
    """A connection to the server whose pipeline is divided into models."""
    with triton.InferenceServerClient(ensemble.grpc_url) as client:
        yield client


def refused(connection, model, inputs):
    with pytest.raises(triton.InferenceServerException) as caught:
        connection.infer(model, inputs, client_timeout=30)
    message = caught.value.message()
    for forbidden in ("\n", "Traceback", ".py", "/"):
        assert forbidden not in message
    return message


@pytest.mark.parametrize(("model", "inputs", "message"), UNEXPECTED.values(), ids=UNEXPECTED.keys())
def test_it_is_refused_in_one_sentence_and_the_server_goes_on(divided, model, inputs, message):
    assert refused(divided, model, inputs) == message
    assert extract(divided, [TEXT]).rows[0]


def test_it_hurts_no_request_that_shares_its_batch(ensemble):
    broken = features(INPUT_IDS=np.full((1, 16), 10**6, np.int32))
    sound = features()
    with triton.InferenceServerClient(ensemble.grpc_url) as client:
        expected = client.infer("student", sound).as_numpy("EMISSIONS")
        answers: list[object] = []
        done = threading.Semaphore(0)

        def collect(number, result, error):
            answers.append((number, error if error is not None else result.as_numpy("EMISSIONS")))
            done.release()

        for number in range(60):
            inputs = broken if number % 3 == 0 else sound
            client.async_infer("student", inputs, lambda result, error, n=number: collect(n, result, error))
        for _ in range(60):
            assert done.acquire(timeout=30)
    for number, answer in answers:
        if number % 3 == 0:
            assert answer.message() == STUDENT
        else:
            assert np.allclose(answer, expected, atol=1e-4)
