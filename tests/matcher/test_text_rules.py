"""Which words of a lexicon match, and which letters a model sees, by the text rules of its layout."""

import json
import unicodedata

import pytest
from distillex_matcher import FeatureLayout, Featurizer, LayoutError, Lexicon, TextRules, normalize
from distillex_matcher.reference import featurize_text, fold, fold_word, stands_alone
from hypothesis import given, settings
from hypothesis import strategies as st

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁", *"甲乙aAbB1é")
TYPES = ("n", "company")
WORDS = ["cat", "iphone", "t恤", "恤", "1号", "g20", "北京", "кот", "café", "new york", "a1"]


def lexicon_of(words):
    return Lexicon.from_entries([(word, "n", 0.5) for word in words])


def found(text, words=WORDS):
    lexicon = lexicon_of(words)
    return [lexicon[entry].word for _, _, entry in lexicon.find(text, word_boundaries=True)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("concatenate the cats", []),
        ("a cat.", ["cat"]),
        ("Cat爱猫", ["cat"]),
        ("买iPhone了", ["iphone"]),
        ("买ｉＰｈｏｎｅ１５", ["iphone"]),
        ("myiPhone", []),
        ("穿T恤的", ["t恤", "恤"]),
        ("穿MT恤的", ["恤"]),
        ("地铁21号线", ["1号"]),
        ("G20峰会", ["g20"]),
        ("G200", []),
        ("на коте", []),
        ("кот", ["кот"]),
        ("cafés café", ["café"]),
        ("北京cat北京", ["北京", "cat", "北京"]),
        ("in New  York's", ["new york"]),
        ("renew york", []),
        ("cat\u0301", []),
    ],
)
def test_a_word_of_letters_is_no_part_of_a_longer_one(text, words):
    assert found(text) == words


CHARACTERS = "甲乙aAbBＢ1２é\u0301 я의"
TYPED = st.dictionaries(
    st.text(CHARACTERS, min_size=1, max_size=4).filter(str.strip),
    st.tuples(st.one_of(st.none(), st.sampled_from(TYPES)), st.sampled_from([0.25, 0.5, 1.0])),
    max_size=12,
)


@given(st.text(CHARACTERS, min_size=1, max_size=12), TYPED, TYPED, st.booleans(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_features_are_those_of_the_reference_under_every_rule(text, base, overlay, word_boundaries, lowercase):
    views = [{fold_word(word): value for word, value in words.items()} for words in (base, overlay)]
    lexicons = [Lexicon.from_entries([(word, *value) for word, value in view.items()]) for view in views]
    rules = {"word_boundaries": word_boundaries, "lowercase": lowercase}
    featurizer = Featurizer(VOCABULARY, TYPES, word_hash_size=11, words_per_slot=2, base=lexicons[0], **rules)
    features = featurizer.featurize([text], [[lexicons[1]]])
    tokens, slots = featurize_text(text, VOCABULARY, TYPES, views[0], [views[1]], 11, 2, **rules)
    assert features.input_ids[0, : len(tokens)].tolist() == tokens
    expected = {
        (token, slot, k): (word.type_id, word.word_id, word.weight)
        for (token, slot), words in slots.items()
        for k, word in enumerate(words)
    }
    arrays = (features.lexicon_types[0], features.lexicon_words[0], features.lexicon_weights[0])
    places = list(zip(*arrays[2].nonzero(), strict=True))
    assert {tuple(map(int, place)): tuple(a[place].item() for a in arrays) for place in places} == expected


@given(st.text(CHARACTERS, min_size=1, max_size=12), TYPED)
@settings(max_examples=200, deadline=None)
def test_words_that_are_found_stand_alone(text, words):
    lexicon = lexicon_of({fold_word(word) for word in words})
    folded = fold(text)
    expected = [match for match in lexicon.find(text) if stands_alone(folded, match[0], match[1])]
    assert lexicon.find(text, word_boundaries=True) == expected
    batch = lexicon.find_batch(["甲", text], word_boundaries=True)
    assert list(zip(batch.start, batch.end, batch.entry, strict=True))[-len(expected) or len(batch.start) :] == expected


def test_words_that_are_no_part_are_obeyed_and_hidden_alike():
    base = Lexicon.from_entries([("cat", "n", 0.5)])
    featurizer = Featurizer(("[PAD]", "[UNK]", "[CLS]", "[SEP]"), TYPES, base=base, word_boundaries=True)
    overlay = Lexicon.from_words({"cat": {"type": "company", "trust": "insist"}})
    trusted = featurizer.featurize(["cats", "a cat"], [[overlay], [overlay]]).trusted
    assert [len(trusted.words(row)) for row in (0, 1)] == [0, 1]
    hiding = Lexicon.from_words({"cat": None})
    weights = featurizer.featurize(["cat", "cats", "cat"], [[hiding], [], []]).lexicon_weights
    assert [float(row.max()) for row in weights] == [0.0, 0.0, 0.5]


def test_case_is_kept_in_every_character_of_unicode_as_the_reference_keeps_it():
    points = "".join(
        chr(p) for p in range(0x30000) if not 0xD800 <= p < 0xE000 and unicodedata.category(chr(p)) != "Cn"
    )
    kept = normalize(points, lowercase=False)
    assert normalize(kept, lowercase=False) == kept
    assert normalize(kept) == normalize(points)
    differing = [p for p, end in zip(points, kept, strict=True) if fold(p, lowercase=False) != end]
    # Another Python may know more or fewer letters than the one that the tables were made with.
    assert len(differing) < 100
    assert normalize("Ａpple 臺積電 ÉΩЯ", lowercase=False) == "Apple 台积电 ÉΩЯ"


def test_the_model_sees_capital_letters_and_lexicons_do_not():
    base = Lexicon.from_entries([("ab", "n", 0.5)])
    featurizer = Featurizer(VOCABULARY, TYPES, base=base, lowercase=False)
    features = featurizer.featurize(["AB", "ab"])
    ids = [[VOCABULARY.index(letter) for letter in word] for word in ("AB", "ab")]
    assert features.input_ids[:, 1:3].tolist() == ids
    assert (features.lexicon_weights[0] == features.lexicon_weights[1]).all()


RULES = TextRules(word_boundaries=True, sentence_periods=True, lowercase=False)


def test_a_layout_without_text_rules_is_written_as_ever(tmp_path):
    layout = FeatureLayout(VOCABULARY, TYPES)
    layout.save(tmp_path)
    content = json.loads((tmp_path / "features.json").read_text(encoding="utf-8"))
    assert content["format"] == 1
    assert "text" not in content
    assert FeatureLayout.load(tmp_path) == layout
    assert layout.text == TextRules(word_boundaries=False, sentence_periods=False, lowercase=True)


def test_a_layout_with_text_rules_comes_back_and_earlier_versions_refuse_it(tmp_path):
    layout = FeatureLayout(VOCABULARY, TYPES, text=RULES)
    layout.save(tmp_path)
    assert json.loads((tmp_path / "features.json").read_text(encoding="utf-8"))["format"] == 2
    loaded = FeatureLayout.load(tmp_path)
    assert loaded == layout
    assert loaded.with_distinct_words().text == RULES
    weights = loaded.featurizer(lexicon_of(["ab"])).featurize(["AB", "ABa"]).lexicon_weights
    assert [float(row.max()) for row in weights] == [0.5, 0.0]


def test_rules_that_are_not_named_are_those_of_a_layout_without_any(tmp_path):
    FeatureLayout(VOCABULARY, TYPES).save(tmp_path)
    path = tmp_path / "features.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"format": 2, "text": {"word_boundaries": True}}), encoding="utf-8")
    assert FeatureLayout.load(tmp_path).text == TextRules(word_boundaries=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([], r"text is \[\]; an object of word_boundaries, sentence_periods, lowercase is expected"),
        (None, "text is None"),
        ({"case": True}, "text has the key 'case'; word_boundaries, sentence_periods, lowercase are accepted"),
        ({"lowercase": "no"}, r"text\.lowercase is 'no'; true or false is expected"),
        ({"word_boundaries": 1}, r"text\.word_boundaries is 1; true or false"),
    ],
)
def test_wrong_text_rules_are_refused_by_name(tmp_path, text, message):
    FeatureLayout(VOCABULARY, TYPES).save(tmp_path)
    path = tmp_path / "features.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"text": text}), encoding="utf-8")
    with pytest.raises(LayoutError, match=rf"features\.json, vocabulary\.txt: {message}"):
        FeatureLayout.load(tmp_path)
