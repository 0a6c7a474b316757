"""Bad requests to the real server: each gets its reason, and good ones are not affected."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

tritonclient = pytest.importorskip("tritonclient.grpc")
from plain_triton import bytes_tensor, extract, refusal  # noqa: E402

pytestmark = pytest.mark.server

GOOD = "张三毕业于北京大学。"

BAD_TEXTS = {
    "empty": ("", "the text is empty"),
    "too long": ("长" * 511, "has 511 characters; at most 510"),
    "not UTF-8": (b"\xe5\xbc\xa0\xff", "not UTF-8 (byte 3)"),
    "lone surrogate": (b"a\xed\xa0\x80", "not UTF-8 (byte 1)"),
    "overlong form": (b"\xc0\xaf", "not UTF-8 (byte 0)"),
    "cut off": ("张".encode()[:2], "not UTF-8 (byte 0)"),
    "NUL": ("a\0b", "NUL"),
}


@pytest.mark.parametrize(("text", "reason"), BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_a_single_bad_text_is_refused_with_its_reason(connection, text, reason):
    assert reason in refusal(connection, [text])


def test_in_a_request_of_several_texts_only_the_bad_rows_fail(connection):
    texts = [GOOD, *(text for text, _ in BAD_TEXTS.values()), GOOD]
    rows = extract(connection, texts).rows
    assert rows[0] == rows[-1] == extract(connection, [GOOD]).rows[0]
    assert rows[0]
    for row, (_, reason) in zip(rows[1:-1], BAD_TEXTS.values(), strict=True):
        assert set(row) == {"error"}
        assert reason in row["error"]


def test_a_request_of_bad_rows_alone_is_answered_row_by_row(connection):
    assert [set(row) for row in extract(connection, ["", "a\0b"]).rows] == [{"error"}, {"error"}]


def test_bad_requests_do_not_hurt_good_ones_in_the_same_batch(connection):
    expected = extract(connection, [GOOD]).rows[0]

    def call(number):
        if number % 3 == 0:
            return refusal(connection, [b"\xff" * (number + 1)])
        if number % 3 == 1:
            return refusal(connection, [GOOD], LEXICON=["{"])
        return extract(connection, [GOOD]).rows[0]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(call, range(150)))
    assert all(answer == expected for answer in answers[2::3])
    assert all("not UTF-8" in answer for answer in answers[0::3])


@pytest.mark.parametrize(
    ("rows", "shape"),
    [([GOOD], [1]), ([GOOD] * 4, [2, 2]), ([GOOD] * 65, [65, 1]), ([], [0, 1]), ([GOOD], [1, 1, 1])],
    ids=["no batch dimension", "two columns", "over the batch limit", "no rows", "three dimensions"],
)
def test_a_wrong_shape_is_refused(connection, rows, shape):
    with pytest.raises(tritonclient.InferenceServerException) as refused:
        connection.infer("extractor", [bytes_tensor("TEXT", rows, shape)], client_timeout=30)
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_a_missing_text_and_a_wrong_type_are_refused(connection):
    import numpy as np

    numbers = tritonclient.InferInput("TEXT", [1, 1], "INT32")
    numbers.set_data_from_numpy(np.zeros((1, 1), dtype=np.int32))
    for inputs in ([], [bytes_tensor("LEXICON", ["{}"])], [numbers]):
        with pytest.raises(tritonclient.InferenceServerException) as refused:
            connection.infer("extractor", inputs, client_timeout=30)
        assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_fewer_lexicons_than_texts_are_refused(connection):
    with pytest.raises(tritonclient.InferenceServerException) as refused:
        extract(connection, [GOOD, GOOD], LEXICON=["{}"])
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"


def random_bytes(generator: random.Random) -> bytes:
    """Bytes of every kind: noise, UTF-8 of any plane, UTF-8 with a flipped byte."""
    length = generator.randrange(0, 60)
    kind = generator.randrange(3)
    if kind == 0:
        return generator.randbytes(length)
    text = "".join(
        chr(generator.choice([0x20, 0x4E00, 0x1F600, 0x20000]) + generator.randrange(90)) for _ in range(length)
    )
    content = bytearray(text.encode())
    if kind == 2 and content:
        content[generator.randrange(len(content))] = generator.randrange(256)
    return bytes(content)


def test_random_bytes_as_text_get_entities_or_an_error_and_the_server_goes_on(connection):
    generator = random.Random(20)
    texts = [random_bytes(generator) for _ in range(3000)]
    refused = 0
    for start in range(0, len(texts), 50):
        batch = texts[start : start + 50]
        for content, row in zip(batch, extract(connection, batch).rows, strict=True):
            if isinstance(row, dict):
                refused += 1
                assert len(row["error"]) > 10
            else:
                text = content.decode()
                assert all(text[entity["start"] : entity["end"]] == entity["text"] for entity in row)
    assert 500 < refused < 2500
    assert extract(connection, [GOOD]).rows[0]


def test_random_bytes_as_lexicon_and_name_get_an_error_and_the_server_goes_on(connection):
    generator = random.Random(21)
    for _ in range(10):
        rows = [random_bytes(generator) or b"x" for _ in range(50)]
        for row in extract(connection, [GOOD] * 50, LEXICON=rows).rows:
            assert row["error"].startswith("LEXICON")
        for row in extract(connection, [GOOD] * 50, LEXICON_NAME=rows).rows:
            assert row["error"].startswith("LEXICON_NAME")
    assert extract(connection, [GOOD]).rows[0]
