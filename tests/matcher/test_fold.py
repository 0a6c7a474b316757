"""What is seen of a character, and that a word is found whatever characters it is written in."""

import importlib.util
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from distillex_matcher import Featurizer, Lexicon, LexiconError, is_word, normalize
from distillex_matcher.reference import fold, fold_word
from distillex_matcher.reference.fold import single_spaced
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
POINTS = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
TABLE = ROOT / "matcher_cpp/src/fold_table.inc"
TABLE_OF_THIS_UNICODE = f"Unicode {unicodedata.unidata_version}\n" in TABLE.read_text(encoding="utf-8")


def test_every_code_point_is_folded_to_one_once_and_as_the_reference_does():
    folded = normalize("".join(POINTS))
    assert len(folded) == len(POINTS)
    assert normalize(folded) == folded
    differing = [point for point, end in zip(POINTS, folded, strict=True) if fold(point) != end]
    # Another Python may know more or fewer capital letters than the one that the table was made with.
    assert len(differing) < (1 if TABLE_OF_THIS_UNICODE else 100)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("臺積電發佈會於週末", "台积电发布会于周末"),
        ("裏裡 羣群 衛衞 峯峰 髮發 麵", "里里 群群 卫卫 峰峰 发发 面"),
        ("⾼⼤⽴在⻓沙市⼯作⻢⻅⻔", "高大立在长沙市工作马见门"),
        ("⾧⾺⿓⻑", "长马龙长"),
        ("\uf98e\uf9e1\uf91c\uf947\U0002f800\uf9b6", "年李卵磊丽礼"),
        ("零\u200b宽\u200c\u200d\u2060\ufeff\xad方\u200e\u200f\u202a\u202e\u2066\u2069\u061c向\u180e", None),
        ("ＩＢＭ　Ｇｒｅｅｎ", "ibm green"),
    ],
    ids=["traditional", "variants", "radicals", "radicals of traditional", "compatibility", "invisible", "width"],
)
def test_is_folded_to(text, folded):
    if folded is None:
        folded = "".join(character if "\u4e00" <= character <= "\u9fff" else " " for character in text)
    assert normalize(text) == folded


def test_simplified_text_is_left_alone():
    # All of these are traditional characters too, and stand for others there.
    text = "著名乾隆瞭望慰藉颠覆阪神彷徨哪吒捱打台后里面余干斗谷松系准志愿云王濛"
    assert normalize(text) == text
    changed = []
    for row in range(0xB0, 0xF8):
        for column in range(0xA1, 0xFF):
            try:
                character = bytes((row, column)).decode("gb2312")
            except UnicodeDecodeError:
                continue
            if normalize(character) != character:
                changed.append(character)
    assert sorted(changed) == sorted("於後徵夥菸醣摺麽")


def test_variation_selectors_stay():
    assert normalize("❤\ufe0f") == "❤\ufe0f"


@pytest.mark.skipif(not TABLE_OF_THIS_UNICODE, reason="needs the Python whose Unicode the tables are made of")
def test_the_tables_are_what_the_script_writes():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "matcher_cpp/tools/generate_fold_tables.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    for path, content in tables.files().items():
        assert path.read_text(encoding="utf-8") == content, path


def test_a_word_is_found_in_whatever_characters_either_is_written():
    spellings = ("龙山东路", "龍山東路", "⿓⼭東路", "龙⼭东路", "\uf9c4山东\uf937")
    for word in spellings:
        lexicon = Lexicon.from_words({word: "address"})
        assert lexicon[0].word == "龙山东路"
        for place in spellings:
            assert word in lexicon
            text = f"𠮷家在{place}9号"
            assert lexicon.find(text) == [(3, 7, 0)]
            assert text[3:7] == place


@given(st.text("é\xad a", max_size=8), st.text("臺台⼤大\u2060", max_size=8), st.text("𠮷\U0002f800", max_size=3))
@settings(max_examples=200, deadline=None)
def test_all_layouts_of_a_text_are_folded_alike(narrow, wide, widest):
    # A str keeps one, two or four bytes a code point, for its widest.
    base = Lexicon.from_words({"é": "n", "台": "n", "大": "n", "丽": "n", "台 大": "n"})
    vocabulary = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁", *"éa台大𠮷丽")
    featurizer = Featurizer(vocabulary, ("n",), base=base)
    for text in (narrow, narrow + wide, narrow + wide + widest):
        if not text:
            continue
        expected = [list(vocabulary).index("▁" if c == " " else c) for c in fold(text)]
        from_str, from_bytes = featurizer.featurize([text]), featurizer.featurize([text.encode()])
        assert from_str.input_ids[0, 1 : len(text) + 1].tolist() == expected
        for one, other in zip(from_str[:5], from_bytes[:5], strict=True):
            np.testing.assert_array_equal(one, other)


def found_slowly(words, text):
    """All matches, by looking at every substring that cuts no run of spaces."""
    folded = fold(text)
    bounds = [i for i in range(len(text) + 1) if folded[max(0, i - 1) : i + 1] != "  "]
    pairs = [(start, end) for start in bounds for end in bounds if start < end]
    return [
        (start, end, words.index(word)) for start, end in pairs if (word := single_spaced(folded[start:end])) in words
    ]


@given(
    st.lists(st.text("甲乙 ", min_size=1, max_size=5).filter(str.strip), max_size=8),
    st.text("甲乙 \t\u3000\u200d𠮷", max_size=24),
)
@settings(max_examples=300, deadline=None)
def test_a_run_of_spaces_counts_as_one_and_whole(words, text):
    words = list(dict.fromkeys(map(fold_word, words)))
    lexicon = Lexicon.from_words(dict.fromkeys(words, "n"))
    expected = found_slowly(words, text)
    assert lexicon.find(text) == expected
    batch = lexicon.find_batch(["甲", text])
    found = zip(batch.start.tolist(), batch.end.tolist(), batch.entry.tolist(), batch.text.tolist(), strict=True)
    assert [match[:3] for match in found if match[3] == 1] == expected


def test_words_that_differ_in_their_spaces_are_the_same():
    lexicon = Lexicon.from_words({"Green  Day": "company", "Green\u3000Day": "name", "Blue \u200b Note": "game"})
    assert [entry.word for entry in lexicon] == ["green day", "blue note"]
    assert lexicon[0].type == "name"
    assert "GREEN \u2060 DAY" in lexicon
    text = "听green \u3000 day的歌"
    assert [text[start:end] for start, end, _ in lexicon.find(text)] == ["green \u3000 day"]


@pytest.mark.parametrize("around", [" ", "\u3000 ", "\u200b", "\ufeff", "\u00ad\u202e"])
def test_white_space_around_a_word_is_none_of_it(around):
    for word in (around + "小满", "小满" + around, around + "小满" + around):
        lexicon = Lexicon.from_words({word: "name"})
        assert [entry.word for entry in lexicon] == ["小满"]
        assert lexicon.find("轮到小满了") == [(2, 4, 0)]
        assert word in lexicon
    assert [entry.word for entry in Lexicon.from_words({around + "小满": "name", "小满": "company"})] == ["小满"]


def test_what_is_not_to_be_seen_is_no_word():
    assert not is_word("\u200d\u2060\u202e")
    with pytest.raises(LexiconError, match="nothing but white space"):
        Lexicon.from_words({"\u00ad": "n"})
