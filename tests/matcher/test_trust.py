"""Trust in words, and edges of entities: C++ equals the reference, and the rules hold."""

import numpy as np
import pytest
from distillex_matcher import CrfDecoder, Featurizer, LabelScheme, Lexicon, LexiconError, TrustedWords, reference
from distillex_matcher.reference import best_path, is_sound_span, keep_to_edges, obeyed_words, span_probability
from hypothesis import given, settings
from hypothesis import strategies as st

TYPES = ("n", "ns", "company", "name")
SCHEME = LabelScheme(["company", "name"])
LETTERS = "甲乙丙丁戊"
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS)
TRUSTS = (None, "hint", "prefer", "insist", 0.5, 3.0)

words = st.text(LETTERS, min_size=1, max_size=4)
entries = st.dictionaries(
    words, st.one_of(st.none(), st.tuples(st.sampled_from(TYPES), st.sampled_from(TRUSTS))), max_size=8
)


def lexicon_of(found, trust=None):
    return Lexicon.from_words(
        {word: None if value is None else {"type": value[0], "trust": value[1]} for word, value in found.items()},
        trust=trust,
    )


def decoder_of(seed, scale=1.0, prefer=2.0):
    generator = np.random.default_rng(seed)
    labels = len(SCHEME)
    scores = [(generator.normal(size=shape) * scale).astype(np.float32) for shape in ((labels, labels), labels, labels)]
    return scores, CrfDecoder(SCHEME, *scores, lexicon_types=TYPES, prefer=prefer)


def padded(rows):
    batch = np.zeros((len(rows), max(map(len, rows)) + 2, len(SCHEME)), np.float32)
    for row, emissions in enumerate(rows):
        batch[row, 1 : 1 + len(emissions)] = emissions
    return batch, np.array([[len(row) + 2] for row in rows], np.int32)


def spans_of(spans):
    return [
        (start, end, SCHEME.entity_types[kind])
        for start, end, kind in zip(spans.start.tolist(), spans.end.tolist(), spans.type.tolist(), strict=True)
    ]


def reference_spans(scores, emissions):
    return SCHEME.decode(best_path(SCHEME, *scores, emissions))


@given(
    st.text(LETTERS, min_size=1, max_size=20),
    st.dictionaries(words, st.sampled_from(TYPES), max_size=8),
    st.lists(st.tuples(entries, st.sampled_from(TRUSTS)), min_size=1, max_size=3),
    st.sampled_from(TRUSTS),
)
@settings(max_examples=400, deadline=None)
def test_obeyed_words_are_those_of_the_reference(text, base, overlays, asked):
    base_lexicon = Lexicon.from_words(base)
    lexicons = [lexicon_of(found, own) for found, own in overlays]
    featurizer = Featurizer(VOCABULARY, TYPES, base=base_lexicon)
    features = featurizer.featurize([text, "甲"], [lexicons, []], trusts=[asked, None])
    layers = []
    for lexicon, (found, own) in zip(lexicons, overlays, strict=True):
        layer = []
        for start, end, _ in lexicon.find(text):
            value = found[text[start:end]]
            kind, trust = (None, "hint") if value is None else value
            says = [each for each in (trust, asked, own, "prefer") if each is not None]
            layer.append((start, end, kind, says[0]))
        layers.append(layer)
    known = [(start, end, base[text[start:end]]) for start, end, _ in base_lexicon.find(text)]
    expected = [(s, e, 1 + TYPES.index(kind), trust) for s, e, kind, trust in obeyed_words(layers, known)]
    assert features.trusted.words(0) == expected
    assert features.trusted.words(1) == []
    again = TrustedWords.from_rows(features.trusted.rows())
    assert [again.words(row) for row in (0, 1)] == [expected, []]


@given(
    st.text(LETTERS + "《》", min_size=1, max_size=16),
    st.lists(st.tuples(words, st.sampled_from(("company", "name", "n")), st.sampled_from(TRUSTS[1:])), max_size=5),
    st.integers(0, 2**32 - 1),
    st.floats(0, 10),
)
@settings(max_examples=300, deadline=None)
def test_spans_and_scores_are_those_of_raised_emissions(text, found, seed, prefer):
    scores, decoder = decoder_of(seed, prefer=prefer)
    lexicon = Lexicon.from_words({word: {"type": kind, "trust": trust} for word, kind, trust in found})
    trusted = Featurizer(VOCABULARY, TYPES).featurize([text], [[lexicon]]).trusted
    emissions = (np.random.default_rng(seed + 1).normal(size=(len(text), len(SCHEME))) * 3).astype(np.float32)
    by_name = [(s, e, TYPES[kind - 1], trust) for s, e, kind, trust in trusted.words(0)]
    raised = reference.with_bonus(SCHEME, emissions, text, by_name, prefer)
    raised, expected = keep_to_edges(SCHEME, raised, text, lambda scored: reference_spans(scores, scored))
    got = decoder.decode(*padded([emissions]), [text], trusted)
    assert spans_of(got) == expected
    for span, score in zip(expected, got.score.tolist(), strict=True):
        assert score == pytest.approx(span_probability(SCHEME, *scores, raised, span), abs=2e-4)


@given(st.text("甲乙（）()《》“”「」😀\ufe0f\u200b ，'a", min_size=1, max_size=20), st.integers(0, 2**32 - 1))
@settings(max_examples=400, deadline=None)
def test_no_entity_has_an_edge_that_may_be_none(text, seed):
    scores, decoder = decoder_of(seed)
    emissions = (np.random.default_rng(seed + 1).normal(size=(len(text), len(SCHEME))) * 4).astype(np.float32)
    emissions[:, 0] -= 2
    got = decoder.decode(*padded([emissions]), [text])
    for start, end, _ in spans_of(got):
        assert is_sound_span(text[start:end], begins_text=start == 0)
    raised, expected = keep_to_edges(SCHEME, emissions, text, lambda scored: reference_spans(scores, scored))
    assert spans_of(got) == expected
    for span, score in zip(expected, got.score.tolist(), strict=True):
        assert score == pytest.approx(span_probability(SCHEME, *scores, raised, span), abs=2e-4)
    plain = decoder.decode(*padded([emissions]))
    if all(is_sound_span(text[start:end], begins_text=start == 0) for start, end, _ in spans_of(plain)):
        assert spans_of(got) == spans_of(plain)


def flat_decoder(prefer=2.0):
    """A CRF that has no opinion."""
    labels = len(SCHEME)
    scores = [np.zeros(shape, np.float32) for shape in ((labels, labels), labels, labels)]
    return CrfDecoder(SCHEME, *scores, lexicon_types=TYPES, prefer=prefer)


def found(text, lexicons, *, base=None, outside=1.0, prefer=2.0, trust=None):
    """Spans of a text whose emissions prefer O by ``outside`` at each character."""
    featurizer = Featurizer(VOCABULARY, TYPES, base=Lexicon.from_words(base) if base else None)
    features = featurizer.featurize([text], [[Lexicon.from_words(each) for each in lexicons]], trusts=[trust])
    emissions = np.zeros((len(text), len(SCHEME)), np.float32)
    emissions[:, 0] = outside
    batch, lengths = padded([emissions])
    return spans_of(flat_decoder(prefer).decode(batch, lengths, [text], features.trusted))


def test_a_preferred_word_is_returned_where_the_model_doubts_no_more_than_that():
    assert found("丁甲乙丁", [{"甲乙": "company"}], prefer=2.5) == [(1, 3, "company")]
    assert found("丁甲乙丁", [{"甲乙": "company"}], prefer=1.5) == []


def test_the_bonus_does_not_depend_on_the_length():
    for length in range(1, 5):
        word = LETTERS[:length]
        assert found(word, [{word: "name"}], outside=1.0 / length, prefer=1.1) == [(0, length, "name")]
        assert found(word, [{word: "name"}], outside=1.0 / length, prefer=0.9) == []


def test_an_insisted_word_is_returned_whatever_the_model_says():
    assert found("丁甲乙丁", [{"甲乙": {"type": "company", "trust": "insist"}}], outside=30) == [(1, 3, "company")]


def test_a_hint_adds_nothing():
    assert found("甲乙", [{"甲乙": "company"}], outside=0.01, trust="hint") == []


def test_who_says_it_first_is_heard():
    own = {"甲乙": {"type": "company", "trust": "hint"}}
    assert found("甲乙", [own], trust="insist") == []
    assert found("甲乙", [{"甲乙": "company"}], outside=20, trust="insist") == [(0, 2, "company")]


def test_the_longest_word_of_a_type_is_not_cut():
    short = {"type": "company", "trust": "insist"}
    assert found("甲乙丙丁", [{"乙丙": short, "甲乙丙丁": "company"}], prefer=9) == [(0, 4, "company")]


@pytest.mark.parametrize("longer", ["丁甲乙", "甲乙丙", "丁甲乙丙", "乙丙戊"])
@pytest.mark.parametrize("trust", ["prefer", 0.1])
def test_a_longer_word_of_less_trust_does_not_silence_an_insisted_one(longer, trust):
    words = {"甲乙": {"type": "company", "trust": "insist"}, longer: {"type": "company", "trust": trust}}
    assert found("丁甲乙丙戊", [words], outside=5, prefer=0.1) == [(1, 3, "company")]


def test_a_longer_word_that_is_a_hint_does_not_silence_a_shorter_one():
    words = {"甲乙": "company", "甲乙丙": "company"}
    assert found("甲乙丙", [words], prefer=9) == [(0, 3, "company")]
    assert found("甲乙丙戊", [words], base={"丙戊": "n"}, prefer=9) == [(0, 2, "company")]


def test_a_hidden_word_is_not_obeyed():
    assert found("甲乙", [{"甲乙": "company"}, {"甲乙": None}], prefer=9) == []


def test_words_of_two_types_are_the_models_to_choose():
    featurizer = Featurizer(VOCABULARY, TYPES)
    rows = [
        featurizer.featurize(["甲乙"], [[Lexicon.from_words({"甲乙": kind})]], trusts=[4.0]).trusted.rows()[0]
        for kind in ("company", "name")
    ]
    both = TrustedWords.from_rows([rows[0] + rows[1]])
    for kind in SCHEME.entity_types:
        emissions = np.zeros((2, len(SCHEME)), np.float32)
        emissions[:, 0] = 1.0
        emissions[0, SCHEME.labels.index(f"B-{kind}")] = 0.1
        assert spans_of(flat_decoder().decode(*padded([emissions]), ["甲乙"], both)) == [(0, 2, kind)]


@pytest.mark.parametrize(
    ("text", "base"),
    [("甲乙", {"甲乙": "n"}), ("甲乙丙", {"甲乙丙": "n"}), ("甲乙丙", {"乙丙": "n"}), ("丙甲乙", {"丙甲": "n"})],
    ids=["known as something else", "covered", "reached into at its end", "at its begin"],
)
def test_a_preferred_word_that_the_base_lexicon_speaks_against_is_a_hint(text, base):
    assert found(text, [{"甲乙": "company"}], base=base, prefer=9) == []
    assert len(found(text, [{"甲乙": "company"}], base=base, prefer=9, trust=9.0)) == 1
    if "甲乙" not in base:
        hidden = dict.fromkeys(base) | {"甲乙": "company"}
        assert len(found(text, [hidden], base=base, prefer=9)) == 1


@pytest.mark.parametrize("base", [{"甲": "n", "乙": "n"}, {"丙丁": "n"}, {"甲乙": "company"}])
def test_words_within_beside_and_of_the_same_type_speak_for_it(base):
    assert found("丙丁甲乙丙丁", [{"甲乙": "company"}], base=base, prefer=9) == [(2, 4, "company")]


def test_a_word_between_guillemets_is_returned_in_either_form():
    featurizer = Featurizer(VOCABULARY, TYPES)
    text = "《甲乙丙》"
    trusted = featurizer.featurize([text], [[Lexicon.from_words({"甲乙丙": "name"})]], trusts=[6.0]).trusted
    for emission, expected in ((0.5, (0, 5, "name")), (0.0, (1, 4, "name"))):
        emissions = np.zeros((5, len(SCHEME)), np.float32)
        emissions[:, 0] = 1.0
        emissions[0, SCHEME.labels.index("B-name")] = emissions[4, SCHEME.labels.index("E-name")] = 1.0 + emission
        if not emission:
            emissions[0, SCHEME.labels.index("B-name")] = 0.0
        assert spans_of(flat_decoder().decode(*padded([emissions]), [text], trusted)) == [expected]


def test_every_occurrence_is_returned():
    assert found("甲乙，甲乙、甲乙", [{"甲乙": "company"}], prefer=3) == [
        (0, 2, "company"),
        (3, 5, "company"),
        (6, 8, "company"),
    ]


def test_what_may_be_no_edge_is_none_where_a_word_has_it_there():
    assert found("乙甲乙😀丁", [{"甲乙😀": {"type": "name", "trust": "insist"}}], outside=9) == [(1, 3, "name")]
    assert found("乙😀丁", [{"😀": {"type": "name", "trust": "insist"}}]) == []


def test_wrong_trust_is_refused():
    featurizer = Featurizer(VOCABULARY, TYPES)
    with pytest.raises(LexiconError, match="the trust 'must' is not accepted"):
        featurizer.featurize(["甲"], [[]], trusts=["must"])
    with pytest.raises(ValueError, match="one trust a text: 2 for 1"):
        featurizer.featurize(["甲"], [[]], trusts=[None, None])
    for row in (b"x", b"x" * 16, bytes(15)):
        with pytest.raises(ValueError, match="row 0: the trusted words are not as they were packed"):
            TrustedWords.from_rows([row])
    with pytest.raises(ValueError, match="the trust of 'prefer' is -1; 0 to 1000 is accepted"):
        flat_decoder(prefer=-1.0)


def test_words_that_do_not_belong_to_the_emissions_are_refused():
    trusted = Featurizer(VOCABULARY, TYPES).featurize(["甲甲甲乙"], [[Lexicon.from_words({"乙": "name"})]]).trusted
    batch, lengths = padded([np.zeros((2, len(SCHEME)), np.float32)])
    decoder = flat_decoder()
    with pytest.raises(ValueError, match=r"the trusted word \[3, 4\) does not lie in a text of 2 code points"):
        decoder.decode(batch, lengths, None, trusted)
    with pytest.raises(ValueError, match="trusted must hold one entry a row: 0 for 1 rows"):
        decoder.decode(batch, lengths, None, TrustedWords.from_rows([]))
    scores = [np.zeros(shape, np.float32) for shape in ((9, 9), 9, 9)]
    with pytest.raises(ValueError, match="without lexicon types"):
        CrfDecoder(SCHEME, *scores).decode(batch, lengths, None, trusted)
    with pytest.raises(ValueError, match="row 0: the text is not of 2 code points"):
        decoder.decode(batch + np.arange(9, dtype=np.float32), lengths, ["甲甲甲"])
