"""Where sentences end."""

import pytest
from distillex_client import split_document
from distillex_client.sentences import sentence_ends


def pieces(text, *, periods=True):
    return [text[w.start : w.end] for w in split_document(text, periods=periods)]


@pytest.mark.parametrize(
    "text",
    [
        "Pi is 3.14 or so",
        "The U.S. Army and the E.U. Commission",
        "See www.a.com for v2.0 of Example.org Files",
        "J. R. R. Tolkien met Dr. Smith and Prof. Jones at St. Mary",
        "Apple Inc. CEO Tim Cook",
        "Cf. Fig. 3 and No. 5",
        "e.g. Apples, i.e. Fruit",
        "1. Apples",
        "苹果Inc. 发布了新手机",
        "他说. The 公司",
        "Open file.txt Now",
        "ends. with a small letter",
    ],
)
def test_a_period_within_a_sentence_cuts_nothing(text):
    assert pieces(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I like cats. You do not.", ["I like cats.", "You do not."]),
        ('He said "Yes." Then he left.', ['He said "Yes."', "Then he left."]),
        ("(It rained.) We stayed. “Why?” No.", ["(It rained.)", "We stayed.", "“Why?”", "No."]),
        ("He sat. Then he ran.", ["He sat.", "Then he ran."]),
        ("It costs 3.14. That is a lot.", ["It costs 3.14.", "That is a lot."]),
        ("That was in 2020. Now it is over.", ["That was in 2020.", "Now it is over."]),
        ("He left (see U.S.). Then it rained.", ["He left (see U.S.).", "Then it rained."]),
        ("Wait... What is it?", ["Wait...", "What is it?"]),
        ("他用iPhone. Then买了。好的", ["他用iPhone.", "Then买了。", "好的"]),
        ("Он спит. Она нет.", ["Он спит.", "Она нет."]),
        ("C'était l'été. «Bon», dit-il. Élise rit.", ["C'était l'été.", "«Bon», dit-il.", "Élise rit."]),
        ("1. Apples are red. Pears are not.", ["1. Apples are red.", "Pears are not."]),
    ],
)
def test_a_period_ends_a_sentence_of_letters(text, expected):
    assert pieces(text) == expected
    assert "".join(expected).replace(" ", "") == text.replace(" ", "")


def test_periods_end_nothing_unless_it_is_asked_for():
    text = "I like cats. You do not. 我不喜欢。真的"
    assert pieces(text, periods=False) == ["I like cats. You do not. 我不喜欢。", "真的"]
    assert pieces(text) == ["I like cats.", "You do not. 我不喜欢。", "真的"]


def test_text_of_chinese_characters_is_cut_as_without_periods():
    text = "小明3.5元买了v2.0。访问www.a.com！好\n1. 苹果 2. 梨 A. 是 B. 否"
    assert sentence_ends(text, periods=True) == sentence_ends(text)


# So long that a rule which looks back over the text from each period would not end within the suite's patience.
@pytest.mark.parametrize(
    ("text", "ends"),
    [(". " * 200_000, []), ("A. " * 200_000, []), ("." * 500_000 + " A", []), ("a" * 500_000 + ". A", [500_001])],
    ids=["periods", "initials", "dots", "one word"],
)
def test_long_texts_of_periods_are_cut_where_a_sentence_of_words_ends(text, ends):
    assert list(sentence_ends(text, periods=True)) == ends
