"""The base lexicon is built from jieba's dictionary and typed word lists."""

import pytest
from distillex_matcher import LexiconError
from distillex_matcher.base_lexicon import build_base_lexicon


@pytest.fixture
def dictionary(tmp_path):
    path = tmp_path / "dict.txt"
    path.write_text("北京 100 ns\n的 9999 uj\nIBM 7 nz\nibm 3 n\n大学 20 n\n" + "长" * 17 + " 5 n\n", encoding="utf-8")
    return path


def entries(lexicon):
    return {lexicon[i].word: (lexicon[i].type, round(lexicon[i].weight, 3)) for i in range(len(lexicon))}


def test_takes_words_of_all_lengths_but_1_with_log_frequency_weights_and_tells_the_others(dictionary):
    left_out = []
    assert entries(build_base_lexicon(dictionary=dictionary, left_out=left_out)) == {
        "北京": ("ns", 1.0),
        "大学": ("n", 0.66),
        "ibm": ("nz", 0.451),
        "长" * 17: ("n", 0.388),
    }
    assert left_out == ["的"]


def test_a_word_that_no_lexicon_can_hold_is_named(tmp_path):
    path = tmp_path / "dict.txt"
    path.write_text("北京 100 ns\n" + "长" * 255 + " 1 n\n" + "长" * 256 + " 5 n\n", encoding="utf-8")
    with pytest.raises(LexiconError, match=r"dict\.txt:3: the word '长+…' has 256 code points; at most 255"):
        build_base_lexicon(dictionary=path)


def test_typed_word_lists_win_over_the_dictionary_and_may_remove_words(dictionary, tmp_path):
    (tmp_path / "a.tsv").write_text("大学\tcompany\t0.5\n青石云科\tcompany\n", encoding="utf-8")
    (tmp_path / "b.tsv").write_text("大学\tschool\nIBM\tnull\n", encoding="utf-8")
    built = build_base_lexicon([tmp_path / "a.tsv", tmp_path / "b.tsv"], dictionary=dictionary)
    typed = {"大学": ("school", 1.0), "青石云科": ("company", 1.0)}
    assert entries(built) == {"北京": ("ns", 1.0), "长" * 17: ("n", 0.388)} | typed


def test_the_same_inputs_give_the_same_bytes(dictionary, tmp_path):
    for name in ("a.lex", "b.lex"):
        build_base_lexicon(dictionary=dictionary).save(tmp_path / name)
    assert (tmp_path / "a.lex").read_bytes() == (tmp_path / "b.lex").read_bytes()


def test_a_malformed_line_is_named(tmp_path):
    path = tmp_path / "dict.txt"
    path.write_text("北京 100 ns\n上海 many ns\n", encoding="utf-8")
    with pytest.raises(LexiconError, match=r"dict\.txt:2: '上海 many ns'"):
        build_base_lexicon(dictionary=path)


def test_the_shipped_lexicon_is_what_the_command_builds(tmp_path):
    pytest.importorskip("jieba", reason="needs jieba: pip install 'distillex[lexicon]'")
    from pathlib import Path

    shipped = Path(__file__).resolve().parents[2] / "lexicons" / "base" / "1.lex"
    build_base_lexicon().save(tmp_path / "built.lex")
    assert (tmp_path / "built.lex").read_bytes() == shipped.read_bytes()
