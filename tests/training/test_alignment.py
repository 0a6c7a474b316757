"""Entities that are given by their text alone, found in their sentence."""

import pytest
from distillex_training.data.alignment import AlignmentReport, Mention, align


def places(text, *mentions, taken=()):
    found = align(text, [Mention(*mention) for mention in mentions], taken)
    return [(text[span.start : span.end], span.start, span.type) for span in found.spans], found


def test_each_occurrence_is_labelled_and_told():
    found, alignment = places("华为说华为的手机好", ("华为", "company"))
    assert found == [("华为", 0, "company"), ("华为", 3, "company")]
    assert alignment.repeated == ["华为"]


def test_the_longest_comes_first_whatever_the_order_they_are_given_in():
    found, alignment = places("北京大学在北京", ("北京", "place"), ("北京大学", "school"))
    assert found == [("北京大学", 0, "school"), ("北京", 5, "place")]
    assert not alignment.covered
    found, alignment = places("他在北京大学", ("北京", "place"), ("北京大学", "school"))
    assert found == [("北京大学", 2, "school")]
    assert [mention.text for mention in alignment.covered] == ["北京"]


def test_what_is_labelled_already_is_not_labelled_again():
    assert places("北京和北京", ("北京", "place"), taken=[(0, 2)])[0] == [("北京", 3, "place")]


def test_overlapping_occurrences_of_one_text_do_not_overlap():
    assert places("哈哈哈哈哈", ("哈哈", "sound"))[0] == [("哈哈", 0, "sound"), ("哈哈", 2, "sound")]


@pytest.mark.parametrize(
    ("text", "surface", "found"),
    [
        ("買了ＡＢＣ公司", "ABC", "ＡＢＣ"),  # width
        ("IPHONE很好", "iPhone", "IPHONE"),  # case
        ("臺積電漲了", "台积电", "臺積電"),  # traditional characters
        ("他是 张伟 。", " 张伟 ", "张伟"),  # white space around it
    ],
)
def test_a_text_is_found_as_the_matcher_compares_words(text, surface, found):
    assert [surface for surface, *_ in places(text, (surface, "x"))[0]] == [found]


def test_all_spellings_of_a_text_are_labelled():
    assert places("apple和Apple", ("Apple", "company"))[0] == [("apple", 0, "company"), ("Apple", 6, "company")]


def test_an_exact_occurrence_wins_over_one_that_is_compared():
    found, alignment = places("apple和Apple和APPLE", ("Apple", "company"), ("apple", "fruit"))
    assert found[:2] == [("apple", 0, "fruit"), ("Apple", 6, "company")]
    assert not alignment.covered
    found, alignment = places("用Apple", ("Apple", "company"), ("APPLE", "company"))
    assert found == [("Apple", 1, "company")]
    assert not alignment.missing
    assert places("ＡＢＣ公司", ("ＢＣ", "x"))[0] == [("ＢＣ", 1, "x")]


@pytest.mark.parametrize(("text", "surface"), [("concatenate", "cat"), ("iPhone13", "13"), ("AIGC时代", "AI")])
def test_latin_words_are_not_found_within_others(text, surface):
    found, alignment = places(text, (surface, "x"))
    assert not found
    assert [mention.text for mention in alignment.missing] == [surface]


def test_latin_words_are_found_beside_chinese_characters():
    assert places("用AI写的", ("AI", "x"))[0] == [("AI", 1, "x")]


def test_one_text_named_with_several_types_may_be_any_of_them_the_surest_first():
    text = "苹果发布了苹果"
    alignment = align(text, [Mention("苹果", "product", 0.4), Mention("苹果", "company", 0.9)])
    assert [(span.types, span.score) for span in alignment.spans] == [(("company", "product"), 0.9)] * 2
    assert alignment.contested == ["苹果"]


def test_the_report_counts_every_kind_and_shows_examples():
    report = AlignmentReport(mentions=4)
    text = "北京大学在北京，北京"
    mentions = [Mention("北京大学", "school"), Mention("北京", "place"), Mention("北", "x"), Mention("上海", "place")]
    report.add("a.jsonl:7", align(text, mentions))
    lines = "\n".join(report.lines())
    assert "4 entities were given by their text: 3 spans" in lines
    assert "1 of them stand nowhere in their text; such as a.jsonl:7: '上海' place" in lines
    assert "1 of them stand within longer ones only; such as a.jsonl:7: '北' x" in lines
    assert "1 of them stand in their text several times: each was labelled; such as a.jsonl:7: '北京'" in lines
