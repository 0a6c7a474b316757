"""What the default student makes of words of a request: obeyed as far as they are trusted, in any characters."""

import distillex
import pytest


@pytest.fixture(scope="module")
def tagger():
    return distillex.load("cluener")


def found(tagger, text, words, trust=None):
    entities = tagger.extract(text, lexicon=words, trust=trust)
    for entity in entities:
        assert text[entity.start : entity.end] == entity.text
    return [(entity.text, entity.type) for entity in entities]


def test_each_occurrence_of_a_word_is_returned(tagger):
    assert found(tagger, "霜桥科，霜桥科、霜桥科", {"霜桥科": "company"}) == [("霜桥科", "company")] * 3


@pytest.mark.parametrize(
    ("text", "word", "surface"),
    [
        ("霜橋科發布了公告。", "霜桥科", "霜橋科"),
        ("霜桥科发布了公告。", "霜橋科", "霜桥科"),
        ("去⼴⻄⼭⽔⻜公司吧", "广西山水飞公司", "⼴⻄⼭⽔⻜公司"),
        ("ＡＢＸ　Ｙｚ发布了公告。", "abx yz", "ＡＢＸ　Ｙｚ"),
        ("Abx  \u00a0 Yz发布了公告。", "Abx Yz", "Abx  \u00a0 Yz"),
    ],
    ids=["traditional text", "traditional word", "radicals", "full width", "a run of spaces"],
)
def test_a_word_is_found_whatever_its_characters(tagger, text, word, surface):
    assert (surface, "company") in found(tagger, text, {word: "company"}, "insist")


def test_a_title_is_returned_with_or_without_its_guillemets(tagger):
    assert not {("《霜桥往事》", "book"), ("霜桥往事", "book")}.isdisjoint(
        found(tagger, "昨晚看完了《霜桥往事》，很好看", {"霜桥往事": "book"})
    )


def test_what_the_base_lexicon_speaks_against_is_returned_where_it_is_insisted_on(tagger):
    text, words = "他们完美团结在一起。", {"美团": "company"}
    assert ("美团", "company") not in found(tagger, text, words)
    assert ("美团", "company") in found(tagger, text, words, "insist")


def test_a_word_with_an_emoji_is_returned_without_it(tagger):
    assert ("霜桥科", "company") in found(tagger, "今天霜桥科😀开门", {"霜桥科😀": "company"}, "insist")


def test_a_sentence_in_traditional_characters_has_the_entities_of_its_twin(tagger):
    texts = ("韩国总统昨天抵达华盛顿，会见了微软公司总裁。", "韓國總統昨天抵達華盛頓，會見了微軟公司總裁。")
    plain, traditional = (
        [(entity.start, entity.end, entity.type, entity.score) for entity in tagger.extract(text)] for text in texts
    )
    assert plain == traditional
    assert plain
