"""Extraction through the real server by a plain Triton client."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("tritonclient.grpc")
from plain_triton import extract

pytestmark = pytest.mark.server

SENTENCE = "张三毕业于北京大学，后来在中国人民银行担任行长。"


def assert_offsets_are_exact(text, entities):
    for entity in entities:
        assert set(entity) == {"start", "end", "type", "text", "score"}
        assert 0 <= entity["start"] < entity["end"] <= len(text)
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert 0.0 <= entity["score"] <= 1.0


def spans(entities):
    return [(entity["start"], entity["end"], entity["type"], entity["text"]) for entity in entities]


def test_a_plain_client_gets_entities_and_the_lexicon_version(connection):
    answer = extract(connection, [SENTENCE])
    assert answer.versions == ["base@1"]
    assert len(answer.rows[0]) >= 2
    assert_offsets_are_exact(SENTENCE, answer.rows[0])


STRANGE = {
    "emoji": "😀😀张三👨‍👩‍👧在北京大学🎓读书",
    "combining marks": "e\u0301张三\u0301在北\u0308京大学读书",
    "full width": "ＩＢＭ公司的张三在Ｇｏｏｇｌｅ工作，２０２０年",
    "upper case": "IBM的CEO张三与İstanbul和ẞ",
    "beyond the BMP": "𠮷野家的张三在𡈽北京大学𪚥读书",
    "tabs and newlines": "张三\t在\n北京大学\r\n读书\u3000与\u00a0李四",
    "one character": "张",
    "byte order mark": "\ufeff张三在北京大学",
    "right to left": "\u202e张三\u200f在北京大学",
    "the longest": (SENTENCE * 30)[:510],
}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE.keys())
def test_offsets_hold_in_the_callers_own_text(connection, text):
    (entities,) = extract(connection, [text]).rows
    assert isinstance(entities, list)
    assert_offsets_are_exact(text, entities)


def test_an_emoji_before_a_name_shifts_its_offset_by_one_code_point(connection):
    plain = extract(connection, [SENTENCE]).rows[0]
    shifted = extract(connection, ["😀" + SENTENCE]).rows[0]
    spans = {(entity["start"] + 1, entity["end"] + 1) for entity in plain}
    assert spans & {(entity["start"], entity["end"]) for entity in shifted}


def test_rows_of_different_lengths_are_answered_as_if_they_came_alone(connection):
    texts = [SENTENCE, "张三", SENTENCE * 5, "今天天气很好，我们去公园散步。", "李四在上海的腾讯公司工作"]
    together = extract(connection, texts).rows
    alone = [extract(connection, [text]).rows[0] for text in texts]
    for joint, single in zip(together, alone, strict=True):
        assert spans(joint) == spans(single)
        assert [e["score"] for e in joint] == pytest.approx([e["score"] for e in single], abs=2e-3)


def test_requests_that_share_a_batch_get_their_own_answers(connection):
    texts = [SENTENCE[: 5 + n % 18] + "😀" * (n % 40) for n in range(120)]
    expected = [extract(connection, [text]).rows[0] for text in texts]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda text: extract(connection, [text]).rows[0], texts))
    assert [spans(answer) for answer in answers] == [spans(answer) for answer in expected]


def test_a_full_batch_of_64_is_accepted(connection):
    assert len(extract(connection, [SENTENCE] * 64).rows) == 64
