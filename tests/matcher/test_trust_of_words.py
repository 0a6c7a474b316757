"""What a lexicon keeps of how far its words are to be obeyed."""

import math

import pytest
from distillex_matcher import Lexicon, LexiconEntry, LexiconError

ACCEPTED = "hint, prefer, insist or a number from 0 to 1000 is"


def test_each_word_may_say_its_own_and_the_lexicon_says_the_rest():
    lexicon = Lexicon.from_words(
        {"甲": "company", "乙丙": {"type": "name", "trust": "insist"}, "丁": None, "戊": {"type": "n", "trust": 2.3}},
        trust="hint",
    )
    assert [entry.trust for entry in lexicon] == [None, "insist", None, 2.3]
    assert lexicon.trust == "hint"


@pytest.mark.parametrize("trust", [None, "hint", "prefer", "insist", 0.25, 1000.0])
def test_trust_is_kept_in_the_file(tmp_path, trust):
    entries = [("甲", "company", 1.0), ("乙", "name", 0.5, trust)]
    lexicon = Lexicon.from_entries(entries, name="finance", version=3, trust=trust)
    lexicon.save(tmp_path / "a.lex")
    again = Lexicon.load(tmp_path / "a.lex")
    assert list(again) == [LexiconEntry("甲", "company", 1.0, None), LexiconEntry("乙", "name", 0.5, trust)]
    assert again.trust == trust
    assert again.checksum == lexicon.checksum
    assert again.to_bytes() == lexicon.to_bytes()
    other = Lexicon.from_entries(entries, trust=1.5)
    assert other.checksum != lexicon.checksum


def test_zero_is_a_hint():
    assert Lexicon.from_words({"甲": {"type": "n", "trust": 0}})[0].trust == "hint"


def test_a_column_of_the_word_list(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text("甲\tcompany\t0.5\tinsist\n乙\tname\t\t2.5\n丙\tname\n丁\tname\t1\t\n", encoding="utf-8")
    assert list(Lexicon.from_tsv(path, trust="hint")) == [
        LexiconEntry("甲", "company", 0.5, "insist"),
        LexiconEntry("乙", "name", 1.0, 2.5),
        LexiconEntry("丙", "name", 1.0, None),
        LexiconEntry("丁", "name", 1.0, None),
    ]


@pytest.mark.parametrize("trust", ["must", "", "-1", "1001", "nan", "1e999", "0x1", " 1", "+1"])
def test_a_text_that_is_no_trust_is_refused(tmp_path, trust):
    with pytest.raises(LexiconError, match=ACCEPTED):
        Lexicon.from_words({"甲": {"type": "n", "trust": trust}})
    if trust.strip() and trust.strip() == trust:
        (tmp_path / "words.tsv").write_text(f"甲\tn\t1\t{trust}\n", encoding="utf-8")
        with pytest.raises(LexiconError, match=f"words.tsv:1: .*{ACCEPTED}"):
            Lexicon.from_tsv(tmp_path / "words.tsv")


@pytest.mark.parametrize("trust", [-1, 1000.5, math.nan, math.inf, True, 10**400, [1], {}])
def test_a_value_that_is_no_trust_is_refused(trust):
    for build in (
        lambda: Lexicon.from_words({"甲": {"type": "n", "trust": trust}}),
        lambda: Lexicon.from_words({"甲": "n"}, trust=trust),
        lambda: Lexicon.from_entries([("甲", "n", 1.0, trust)]),
    ):
        with pytest.raises(LexiconError, match=ACCEPTED):
            build()


def test_the_fields_of_a_word_are_type_and_trust():
    with pytest.raises(LexiconError, match="'甲' has the key 'trsut'; type and trust are accepted"):
        Lexicon.from_words({"甲": {"type": "n", "trsut": 1}})
    with pytest.raises(LexiconError, match="the type of '甲' is None; beside a trust a type name is accepted"):
        Lexicon.from_words({"甲": {"trust": 1}})
