"""Triton's messages are filled and read without numpy: in them stands what tritonclient would have put there."""

from __future__ import annotations

import json
from fractions import Fraction
from types import MappingProxyType

import pytest

pytest.importorskip("tritonclient.grpc")
import numpy as np
import tritonclient.grpc as triton
from distillex_client import Entity, InvalidRequest, ServerError
from distillex_client.protocol import encode_lexicon, encode_trust, infer_request, parse_answer
from tritonclient.grpc import service_pb2
from tritonclient.utils import serialize_byte_tensor


def answer_of(**tensors):
    answer = service_pb2.ModelInferResponse(model_name="extractor", id="order-7")
    for name, rows in tensors.items():
        answer.outputs.add(name=name, datatype="BYTES", shape=[len(rows), 1])
        answer.raw_output_contents.append(serialize_byte_tensor(np.array(rows, dtype=object).reshape(-1, 1)).item())
    return answer


def test_a_request_is_the_one_of_tritonclient():
    texts = ["复旦大学", b"", "😀𠮷".encode()]
    message = infer_request(
        texts, b'{"x": null}', b"finance", b"insist", with_versions=True, model_name="extractor", id="7"
    )
    columns = {"TEXT": [t.encode() if isinstance(t, str) else t for t in texts]}
    columns |= {"LEXICON": [b'{"x": null}'] * 3, "LEXICON_NAME": [b"finance"] * 3, "TRUST": [b"insist"] * 3}
    assert [tensor.name for tensor in message.inputs] == list(columns)
    for tensor, content, (name, rows) in zip(message.inputs, message.raw_input_contents, columns.items(), strict=True):
        expected = triton.InferInput(name, [3, 1], "BYTES")
        expected.set_data_from_numpy(np.array(rows, dtype=object).reshape(3, 1))
        assert tensor == expected._get_tensor()
        assert content == expected._get_content()
    assert [tensor.name for tensor in infer_request(["甲"], with_versions=True).inputs] == ["TEXT"]


@pytest.mark.parametrize(
    ("trust", "sent"),
    [
        (None, b""),
        ("insist", b"insist"),
        (2, b"2.0"),
        (np.float32(0.5), b"0.5"),
        (Fraction(1, 4), b"0.25"),
        # What is no trust goes to whoever knows which are, and is refused there.
        ("must", b"must"),
        (-1, b"-1.0"),
        (10**400, b"1e+308"),
    ],
)
def test_trust_is_sent_as_text_and_within_the_words_as_a_number(trust, sent):
    assert encode_trust(trust) == sent
    words = json.loads(encode_lexicon({"张伟": MappingProxyType({"type": "name", "trust": trust}), "的": None}))
    said = {} if trust is None else {"trust": trust if isinstance(trust, str) else float(sent)}
    assert words == {"张伟": {"type": "name", **said}, "的": None}


def test_an_answer_is_read_row_by_row_whatever_the_order_of_its_tensors():
    entity = '[{"start": 0, "end": 1, "type": "name", "text": "张", "score": 0.5}]'.encode()
    rows = [entity, b"[]", b'{"error": "the text is empty"}']
    answer = answer_of(LEXICON_VERSION=[b"base@1", b"base@1+x@2", b"base@1"], ENTITIES=rows)
    found = parse_answer(answer, 3)
    assert [extraction.entities for extraction in found] == [(Entity(0, 1, "name", "张", 0.5),), (), ()]
    assert [extraction.lexicon_version for extraction in found] == ["base@1", "base@1+x@2", "base@1"]
    assert [extraction.error for extraction in found] == [None, None, "the text is empty"]
    assert {extraction.request_id for extraction in found} == {"order-7"}


def test_an_answer_of_another_model_and_a_refused_lexicon_are_errors():
    with pytest.raises(ServerError, match="model 'extractor' holds no ENTITIES"):
        parse_answer(answer_of(EMISSIONS=[b""]), 1)
    for reason in ("LEXICON: no words", "TRUST: no trust"):
        with pytest.raises(InvalidRequest, match=reason):
            parse_answer(answer_of(ENTITIES=[f'{{"error": "{reason}"}}'.encode()]), 1)


@pytest.mark.parametrize(
    "rows",
    [[b""], [b"hello"], [b"[\xff]"], [b"5"], [b"[5]"], [b'[{"begin": 0}]'], [b'{"text": ""}'], [b"[" * 100_000]],
)
def test_an_answer_that_cannot_be_read_is_an_error_of_the_server(rows):
    with pytest.raises(ServerError, match="the answer of model 'extractor' cannot be read"):
        parse_answer(answer_of(ENTITIES=rows), 1)


@pytest.mark.parametrize("content", [b"\x02", b"\xff\xff\xff\xff[]", b"\x02\0\0\0[", b"\x02\0\0\0[]\x02\0"])
def test_a_tensor_that_ends_within_an_element_is_an_error_of_the_server(content):
    answer = answer_of(ENTITIES=[b"[]"])
    answer.raw_output_contents[0] = content
    with pytest.raises(ServerError, match="ENTITIES ends within element"):
        parse_answer(answer, 1)


def test_an_answer_with_another_number_of_rows_is_an_error_of_the_server():
    for rows, versions in (([b"[]"], []), ([b"[]"] * 3, []), ([b"[]"] * 2, [b"base@1"])):
        answer = answer_of(ENTITIES=rows, **({"LEXICON_VERSION": versions} if versions else {}))
        with pytest.raises(ServerError, match=f"{len(rows)} rows, and . lexicon versions, for 2 texts"):
            parse_answer(answer, 2)
