"""Words given with a request to the real server, with their trust."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("tritonclient.grpc")
from plain_triton import extract, refusal

pytestmark = pytest.mark.server

TEXT = "近日，青石云科发布了新一代平台，董事长王大力出席。"
WORD = "青石云科"


def words(**entries):
    return json.dumps(entries, ensure_ascii=False)


def companies(entities):
    return [entity["text"] for entity in entities if entity["type"] == "company"]


def test_a_word_given_with_the_request_is_found_with_its_type(connection):
    answer = extract(connection, [TEXT], LEXICON=[words(青石云科="company")])
    assert WORD in companies(answer.rows[0])
    assert answer.versions == ["base@1+request"]


def test_the_word_is_gone_with_the_next_request(connection):
    before = extract(connection, [TEXT])
    extract(connection, [TEXT], LEXICON=[words(青石云科="company")])
    after = extract(connection, [TEXT])
    assert before == after
    assert after.versions == ["base@1"]


def test_each_row_has_its_own_lexicon(connection):
    answer = extract(connection, [TEXT] * 3, LEXICON=["", words(青石云科="company"), "{}"])
    alone = extract(connection, [TEXT]).rows[0]
    assert answer.rows[0] == answer.rows[2] == alone
    assert WORD in companies(answer.rows[1])
    assert answer.versions == ["base@1", "base@1+request", "base@1"]


def test_a_null_type_hides_a_word_of_the_base_lexicon(connection):
    lexicons = ["{}", words(北京大学=None), words(高兴=None), words(北京大学="organization")]
    rows = extract(connection, ["他在北京大学读书"] * 4, LEXICON=lexicons).rows
    assert all([(entity["text"], entity["type"]) for entity in row] == [("北京大学", "organization")] for row in rows)
    shown, hidden, without_another_word, named = (row[0]["score"] for row in rows)
    assert hidden < shown == without_another_word < named


def test_a_word_matches_whatever_its_case_and_width(connection):
    text = "董事长王大力在ＱＩＮＧ集团工作"
    answer = extract(connection, [text], LEXICON=[words(qing集团="company")])
    lower = extract(connection, [text], LEXICON=[words(QING集团="company")])
    assert answer.rows == lower.rows


UNCONVINCING = "我今天很高兴。"
PLAIN = words(高兴="company")


def test_each_row_trusts_its_words_as_it_says(connection):
    insisted = words(高兴={"type": "company", "trust": "insist"})
    rows = [(PLAIN, ""), (PLAIN, "insist"), (PLAIN, "hint"), (PLAIN, "30"), (insisted, ""), (insisted, "hint")]
    lexicons, trusts = map(list, zip(*rows, strict=True))
    answer = extract(connection, [UNCONVINCING] * len(rows), LEXICON=lexicons, TRUST=trusts)
    assert [companies(row) for row in answer.rows] == [[], ["高兴"], [], ["高兴"], ["高兴"], ["高兴"]]
    assert answer.rows[0] == extract(connection, [UNCONVINCING], LEXICON=[PLAIN]).rows[0]


@pytest.mark.parametrize(
    "trust", ["must", "Insist", "1001", "-1", "+1", "nan", " hint", b"\xff", "长" * 100, "9" * 9999]
)
def test_a_bad_trust_fails_its_own_row_alone(connection, trust):
    message = refusal(connection, [UNCONVINCING], LEXICON=[PLAIN], TRUST=[trust])
    assert message.startswith("TRUST: the trust '")
    assert message.endswith(" is not accepted; hint, prefer, insist or a number from 0 to 1000 is")
    assert len(message) < 200
    answer = extract(connection, [UNCONVINCING] * 2, LEXICON=[PLAIN] * 2, TRUST=[trust, "insist"])
    assert answer.rows[0] == {"error": message}
    assert companies(answer.rows[1]) == ["高兴"]


def test_a_trust_of_another_number_of_rows_is_refused(connection):
    with pytest.raises(Exception, match=r"TRUST|batch"):
        extract(connection, [UNCONVINCING] * 2, TRUST=["insist"])


BAD_LEXICONS = {
    "an unknown field of a word": ('{"a": {"type": "name", "trsut": 1}}', "'a' has the key 'trsut'"),
    "a word without a type": ('{"a": {"trust": 1}}', "the type of 'a' is None; beside a trust a type name is accepted"),
    "an unknown level of a word": ('{"a": {"type": "name", "trust": "must"}}', "the trust 'must' is not accepted"),
    "a trust of a word below nought": ('{"a": {"type": "name", "trust": -1}}', "the trust -1 is not accepted"),
    "not JSON": ("{", "LEXICON is not JSON"),
    "not UTF-8": (b'{"\xff": "company"}', "LEXICON is not UTF-8 (byte 2)"),
    "a list": ('["a"]', "must be a JSON object"),
    "a number as type": ('{"a": 1}', "the type of 'a' is 1"),
    "a list as type": ('{"a": ["company"]}', "the type of 'a' is"),
    "an unknown type": ('{"a": "firm"}', "unknown lexicon type 'firm'; known types: "),
    "an empty type": ('{"a": ""}', "the type ''"),
    "an empty word": ('{"": "company"}', "a lexicon word is empty"),
    "a NUL in a word": ('{"a\\u0000": "company"}', "NUL"),
    "a lone surrogate in a word": ('{"\\ud800": "company"}', "surrogate"),
    "a lone surrogate in a type": ('{"a": "\\ud800"}', "printable UTF-8"),
    "an endless number": ('{"a": ' + "9" * 5000 + "}", "LEXICON is not JSON"),
    "deep brackets": ("[" * 60000, "LEXICON is not JSON"),
    "an over-long word": (
        words(**{"长" * 65: "company"}),
        "长长长…' has 65 characters; at most 64 are accepted (max_lexicon_word_length)",
    ),
    "a blank word": ('{" \u3000": "company"}', "nothing but white space"),
    "a control character in a word": ('{"a\\u0007": "company"}', "holds a control character"),
    "a control character in a type": ('{"a": "b\\u0007"}', "is not a name of 1 to 64 bytes of printable UTF-8"),
    "a key twice": ('{"a": "company", "a": null}', "LEXICON holds the key 'a' twice"),
    "NaN": ('{"a": NaN}', "LEXICON holds NaN, which is not JSON"),
    "deep brackets as type": ('{"a": ' + "[" * 900 + "]" * 900 + "}", "the type of 'a' is [[[["),
    "a long number as type": ('{"a": ' + "9" * 4000 + "}", "the type of 'a' is 9999"),
    "too many entries": (json.dumps({f"词{n}": "company" for n in range(1001)}), "1001 entries; at most 1000"),
    "too many bytes": (json.dumps({"x": "y" * 70000}), "at most 65536"),
}


@pytest.mark.parametrize(("lexicon", "reason"), BAD_LEXICONS.values(), ids=BAD_LEXICONS.keys())
def test_a_bad_lexicon_is_refused_with_its_reason(connection, lexicon, reason):
    assert reason in refusal(connection, [TEXT], LEXICON=[lexicon])


@pytest.mark.parametrize(("lexicon", "reason"), BAD_LEXICONS.values(), ids=BAD_LEXICONS.keys())
def test_a_bad_lexicon_fails_its_own_row_alone(connection, lexicon, reason):
    answer = extract(connection, [TEXT, TEXT], LEXICON=[lexicon, words(青石云科="company")])
    assert reason in answer.rows[0]["error"]
    assert WORD in companies(answer.rows[1])


def test_a_thousand_words_are_accepted(connection):
    lexicon = {f"词条{n}": "company" for n in range(999)} | {WORD: "company"}
    answer = extract(connection, [TEXT], LEXICON=[json.dumps(lexicon, ensure_ascii=False)])
    assert WORD in companies(answer.rows[0])


@pytest.mark.parametrize(
    "name", ["../base", "/etc/passwd", "Base", "a" * 65, "-a", "finance/1", "词典", "a\0", "a b", ".", "a\n"]
)
def test_a_lexicon_name_outside_the_closed_pattern_is_refused(connection, name):
    assert "is not a lexicon name" in refusal(connection, [TEXT], LEXICON_NAME=[name])


def test_the_name_base_means_the_base_lexicon_alone(connection):
    assert extract(connection, [TEXT], LEXICON_NAME=["base"]) == extract(connection, [TEXT])
