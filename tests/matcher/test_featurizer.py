"""Feature tensors against the Python reference; overlays; refused texts."""

import random
import threading

import numpy as np
import pytest
from distillex_matcher import Featurizer, Lexicon, LexiconError
from distillex_matcher.reference import featurize_text, fold_word
from hypothesis import given, settings
from hypothesis import strategies as st

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁", *"甲乙丙丁ab台", "𠮷")
TYPES = ("n", "ns", "company", "name")
WORD = st.text("甲乙丙丁aAＢ 𠮷臺", min_size=1, max_size=5).filter(str.strip)
TYPED = st.dictionaries(
    WORD,
    st.tuples(st.one_of(st.none(), st.sampled_from(TYPES)), st.sampled_from([0.25, 0.5, 0.75, 1.0])),
    max_size=12,
)


def make_lexicon(words):
    """A lexicon, and the reference's view of it: of two spellings that are compared alike, the last wins."""
    normal = {fold_word(word): value for word, value in words.items()}
    return Lexicon.from_entries([(word, kind, weight) for word, (kind, weight) in normal.items()]), normal


def slots_of(features, row):
    found = {}
    for token, slot, k in zip(*np.nonzero(features.lexicon_weights[row]), strict=True):
        assert k == len(found.get((token, slot), []))
        found.setdefault((int(token), int(slot)), []).append(
            (
                int(features.lexicon_types[row, token, slot, k]),
                int(features.lexicon_words[row, token, slot, k]),
                float(features.lexicon_weights[row, token, slot, k]),
            )
        )
    return found


@given(st.lists(st.text("甲乙丙丁abＢ \t𠮷好台", min_size=1, max_size=12), min_size=1, max_size=4), TYPED, TYPED, TYPED)
@settings(max_examples=300, deadline=None)
def test_features_are_those_of_the_reference(texts, base_words, overlay_words, request_words):
    base, base_view = make_lexicon(base_words)
    overlays, views = zip(make_lexicon(overlay_words), make_lexicon(request_words), strict=True)
    featurizer = Featurizer(VOCABULARY, TYPES, word_hash_size=11, words_per_slot=2, buckets=(4, 8, 16), base=base)
    features = featurizer.featurize(texts, [list(overlays)] * len(texts))
    bucket = min(b for b in (4, 8, 16) if b >= max(map(len, texts)) + 2)
    assert features.input_ids.shape == (len(texts), bucket)
    assert features.lexicon_types.shape == (len(texts), bucket, 4, 2)
    assert [a.dtype for a in features[:5]] == [np.int32, np.int32, np.int32, np.float32, np.int32]
    for row, text in enumerate(texts):
        tokens, slots = featurize_text(text, VOCABULARY, TYPES, base_view, views, 11, 2)
        assert features.input_ids[row].tolist() == tokens + [0] * (bucket - len(tokens))
        assert features.lengths[row, 0] == len(tokens)
        assert slots_of(features, row) == {key: [tuple(word) for word in words] for key, words in slots.items()}
        occurring = [word for (_, slot), words in slots.items() if slot in (0, 3) for _, word, _ in words if word]
        found = features.occurring_words[row]
        assert sorted(found[found > 0].tolist()) == sorted(occurring)
        assert not features.lexicon_types[row][features.lexicon_weights[row] == 0].any()


NESTED = st.dictionaries(
    st.builds(lambda first, length: first + "甲" * length, st.sampled_from("甲乙"), st.integers(0, 45)),
    st.tuples(st.one_of(st.none(), st.sampled_from(TYPES)), st.sampled_from([0.25, 0.5, 1.0])),
    max_size=46,
)


@given(st.lists(st.sampled_from(["甲", "甲甲甲甲甲甲甲", "乙"]), min_size=1, max_size=9), NESTED, NESTED, NESTED)
@settings(max_examples=60, deadline=None)
def test_features_of_nested_words_are_those_of_the_reference(pieces, base_words, named_words, request_words):
    text = "".join(pieces)
    base, base_view = make_lexicon(base_words)
    (named, named_view), (request, request_view) = make_lexicon(named_words), make_lexicon(request_words)
    featurizer = Featurizer(VOCABULARY, TYPES, word_hash_size=11, words_per_slot=4, buckets=(128,), base=base)
    features = featurizer.featurize([text], [[named, request]])
    _, slots = featurize_text(text, VOCABULARY, TYPES, base_view, (named_view, request_view), 11, 4)
    assert slots_of(features, 0) == {key: [tuple(word) for word in words] for key, words in slots.items()}


WEIGHTS = {
    "one weight": lambda length: 1.0,
    "four weights": lambda length: (0.1, 0.7, 0.3, 0.100001)[length % 4],
    "longer is heavier": lambda length: length / 100,
    "longer is lighter": lambda length: 1 / length,
    "no order": lambda length: random.Random(length).choice([0.2, 0.4, 0.6, 0.8, 1.0]),
}


@pytest.mark.parametrize("weight_of", WEIGHTS.values(), ids=WEIGHTS.keys())
@pytest.mark.parametrize("words_per_slot", [1, 2, 4])
def test_features_of_a_text_in_which_everything_matches_are_those_of_the_reference(weight_of, words_per_slot):
    laid = {"甲" * n: (None if n % 11 == 5 else TYPES[n % 4], weight_of(n)) for n in range(1, 60)}
    below = {"甲" * n: ("n", weight_of(n)) for n in range(40, 90)}
    (base, base_view), (overlay, view) = make_lexicon(below), make_lexicon(laid)
    featurizer = Featurizer(
        VOCABULARY, TYPES, word_hash_size=11, words_per_slot=words_per_slot, buckets=(128,), base=base
    )
    text = "甲" * 50 + "乙" + "甲" * 75
    features = featurizer.featurize([text], [[overlay]])
    _, slots = featurize_text(text, VOCABULARY, TYPES, base_view, (view,), 11, words_per_slot)
    found, expected = slots_of(features, 0), {key: [tuple(word) for word in words] for key, words in slots.items()}
    assert found.keys() == expected.keys()
    assert all(np.allclose(found[key], expected[key], rtol=1e-6, atol=0) for key in found)


def test_types_of_an_overlay_that_many_texts_share_are_refused_for_each_of_them(featurizer):
    unknown, known = Lexicon.from_words({"甲": "planet"}), Lexicon.from_words({"甲": "name"})
    features = featurizer.featurize(["甲", "甲", "甲"], [[unknown], [known], [known, unknown]], strict=False)
    assert [error is None for error in features.errors] == [False, True, False]


@pytest.fixture
def featurizer():
    base = Lexicon.from_entries([("甲乙", "n", 0.5), ("乙丙", "ns", 0.25), ("甲", "name", 0.125)])
    return Featurizer(VOCABULARY, TYPES, base=base)


def test_an_overlay_word_wins_over_the_base_word(featurizer):
    plain = slots_of(featurizer.featurize(["甲乙"]), 0)
    assert plain[1, 0][0][0] == 1
    assert plain[1, 0][0][1] > 0
    laid = slots_of(featurizer.featurize(["甲乙"], [[Lexicon.from_words({"甲乙": "company"})]]), 0)
    assert laid[1, 0] == [(3, 0, 1.0)]


def test_a_type_of_none_hides_a_base_word_for_this_text_alone(featurizer):
    hidden = Lexicon.from_words({"甲乙": None})
    features = featurizer.featurize(["甲乙", "甲乙"], [[hidden], []])
    assert (1, 0) not in slots_of(features, 0)
    assert (1, 0) in slots_of(features, 1)


def test_a_later_overlay_wins_over_an_earlier_one(featurizer):
    laid = [Lexicon.from_words({"甲乙": None}), Lexicon.from_words({"甲乙": "name"})]
    assert slots_of(featurizer.featurize(["甲乙"], [laid]), 0)[1, 0] == [(4, 0, 1.0)]
    assert (1, 0) not in slots_of(featurizer.featurize(["甲乙"], [laid[::-1]]), 0)


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("", "empty", "the text is empty"),
        (b"", "empty", "the text is empty"),
        ("甲" * 511, "too_long", "has 511 characters; at most 510 are accepted"),
        (b"ab\xff", "not_utf8", r"not UTF-8 \(byte 2\)"),
        (b"\xc0\x80", "not_utf8", r"not UTF-8 \(byte 0\)"),
        (b"\xed\xa0\x80", "not_utf8", r"not UTF-8 \(byte 0\)"),
        (b"\xf4\x90\x80\x80", "not_utf8", r"not UTF-8 \(byte 0\)"),
        ("a\ud800", "other", "lone surrogate at position 1"),
        ("a\0b", "other", "NUL character at position 1"),
    ],
)
def test_a_bad_text_is_that_rows_error(featurizer, text, reason, message):
    with pytest.raises(ValueError, match=f"text 1: .*{message}"):
        featurizer.featurize(["甲", text])
    features = featurizer.featurize(["甲乙", text, "丙"], strict=False)
    assert features.errors[0] is None
    assert features.errors[2] is None
    assert features.lengths.ravel().tolist() == [4, 0, 3]
    assert not features.input_ids[1].any()
    assert features.errors[1].message.startswith("the text ")
    assert features.errors[1].reason == reason


def test_the_longest_text_fits(featurizer):
    assert featurizer.max_text_length == 510
    assert featurizer.featurize(["甲" * 510]).input_ids.shape == (1, 512)


def test_an_unknown_overlay_type_is_that_rows_error(featurizer):
    unknown = Lexicon.from_words({"甲": "planet"})
    with pytest.raises(LexiconError, match="unknown lexicon type 'planet'; known types: n, ns, company, name"):
        featurizer.check_types(unknown)
    features = featurizer.featurize(["甲", "甲"], [[unknown], []], strict=False)
    assert features.errors[0].reason == "lexicon"
    assert "planet" in features.errors[0].message
    assert features.errors[1] is None


def test_words_of_a_base_tell_nothing_where_the_model_lacks_their_type():
    base = Lexicon.from_words({"甲": "planet", "乙": "n"})
    features = Featurizer(VOCABULARY, TYPES, base=base).featurize(["甲乙"])
    assert slots_of(features, 0) == slots_of(
        Featurizer(VOCABULARY, TYPES, base=Lexicon.from_words({"乙": "n"})).featurize(["甲乙"]), 0
    )


def test_a_base_of_unknown_types_alone_is_refused():
    with pytest.raises(LexiconError, match="unknown lexicon type 'planet'"):
        Featurizer(VOCABULARY, TYPES, base=Lexicon.from_words({"甲": "planet"}))


def test_another_base_changes_nothing_but_the_words(featurizer):
    other = featurizer.with_base(Lexicon.from_words({"丙": "n"}))
    assert slots_of(other.featurize(["甲丙"]), 0).keys() == {(2, 3)}
    assert slots_of(featurizer.featurize(["甲丙"]), 0).keys() == {(1, 3)}
    assert not slots_of(other.with_base(None).featurize(["甲丙"]), 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary": ("[PAD]", "[UNK]", "[CLS]")}, r"lacks the token \[SEP\]"),
        ({"vocabulary": ("[UNK]", "[PAD]", "[CLS]", "[SEP]")}, r"\[PAD\] must be"),
        ({"vocabulary": (*VOCABULARY, "甲")}, "holds the token '甲' twice"),
        ({"types": ("n", "n")}, "type 'n' is given twice"),
        ({"buckets": (32, 16)}, "increasing"),
        ({"buckets": ()}, "increasing"),
        ({"word_hash_size": 1}, "word_hash_size"),
        ({"words_per_slot": 0}, "words_per_slot"),
    ],
)
def test_refuses_a_layout_that_cannot_be(arguments, message):
    settings_ = {"vocabulary": VOCABULARY, "types": TYPES} | arguments
    with pytest.raises(ValueError, match=message):
        Featurizer(settings_.pop("vocabulary"), settings_.pop("types"), **settings_)


def test_refuses_overlays_that_do_not_match_the_texts(featurizer):
    with pytest.raises(ValueError, match="1 for 2 texts"):
        featurizer.featurize(["甲", "乙"], [[]])
    with pytest.raises(TypeError, match="a text is str or bytes, not int"):
        featurizer.featurize([3])


@pytest.mark.parametrize("overlay", [None, "甲", 3])
def test_refuses_an_overlay_that_is_no_lexicon(featurizer, overlay):
    with pytest.raises(TypeError, match=f"an overlay is a Lexicon, not {type(overlay).__name__}"):
        featurizer.featurize(["甲"], [[overlay]])


@given(st.lists(st.text("a甲é𠮷", min_size=1, max_size=6), min_size=1, max_size=6), st.data())
@settings(max_examples=100, deadline=None)
def test_texts_may_come_as_str_and_as_bytes_in_any_mixture(texts, data):
    base, _ = make_lexicon({"甲a": ("n", 0.5), "𠮷": ("ns", 1.0)})
    featurizer = Featurizer(VOCABULARY, TYPES, base=base)
    mixed = [text.encode() if data.draw(st.booleans()) else text for text in texts]
    for expected, found in zip(featurizer.featurize(texts)[:5], featurizer.featurize(tuple(mixed))[:5], strict=True):
        np.testing.assert_array_equal(expected, found)


def test_tensors_outlive_one_another_and_are_the_callers_own(featurizer):
    first = featurizer.featurize(["甲乙"])
    expected = first.input_ids.copy()
    ids = first.input_ids
    del first
    second = featurizer.featurize(["丁"] * 64)
    second.input_ids[:] = 99
    np.testing.assert_array_equal(ids, expected)
    assert second.lexicon_types.max() < 99


def test_one_featurizer_serves_several_python_threads_at_once(featurizer):
    texts = ["甲乙丙丁" * 20] * 16
    expected = featurizer.featurize(texts)
    wrong = []

    def run():
        for _ in range(20):
            found = featurizer.featurize(texts)
            if not np.array_equal(found.lexicon_weights, expected.lexicon_weights):
                wrong.append(found)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
