"""The files of a feature layout and a CRF: saved, loaded, and refused when wrong."""

import json

import numpy as np
import pytest
from distillex_matcher import CrfParameters, FeatureLayout, LayoutError, Lexicon
from distillex_matcher.layout import write_atomically

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁", "甲", "\x85", "乙")


def test_a_saved_layout_is_the_layout(tmp_path):
    layout = FeatureLayout(VOCABULARY, ("n", "company"), word_hash_size=64, words_per_slot=2, buckets=(8, 16))
    layout.save(tmp_path)
    assert FeatureLayout.load(tmp_path) == layout
    base = Lexicon.from_entries([(word, "company", 0.5) for word in ("甲乙", "甲乙甲", "甲乙甲乙")])
    features = FeatureLayout.load(tmp_path).featurizer(base).featurize(["甲乙甲乙"])
    assert features.input_ids.tolist() == [[2, 5, 7, 5, 7, 3, 0, 0]]
    assert features.lexicon_types[0, 1, 0].tolist() == [2, 2]
    assert features.lexicon_words.max() < 64


def test_word_ids_can_be_told_from_those_of_a_layout_with_distinct_words():
    layout = FeatureLayout(VOCABULARY, ("n",))
    larger = layout.with_distinct_words()
    assert larger.word_hash_size == 1 + 512 * 32767
    assert larger.with_distinct_words() == larger
    base = Lexicon.from_entries([(word, "n", 0.5) for word in ("甲乙", "乙丙丁", "丁", "甲乙丙丁")])
    folded, ids = (each.featurizer(base).featurize(["甲乙丙丁"]).lexicon_words for each in (layout, larger))
    assert (ids.max() > 32768, (ids > 0).sum()) == (True, 2 + 3 + 1 + 4)
    assert (folded == np.where(ids > 0, 1 + (ids - 1) % 32767, 0)).all()


def test_a_saved_crf_decodes_like_the_crf(tmp_path):
    parameters = CrfParameters(("a",), ((0.1,) * 5,) * 5, (0.5,) * 5, (-1e4, 0.0, 1.0, 2.0, 3.0))
    parameters.save(tmp_path / "crf.json")
    assert CrfParameters.load(tmp_path / "crf.json") == parameters
    assert parameters.decoder().scheme.labels == ("O", "B-a", "I-a", "E-a", "S-a")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(LayoutError, match=r"features\.json: missing; 'distillex export' writes it"):
        FeatureLayout.load(tmp_path)
    FeatureLayout(VOCABULARY, ()).save(tmp_path)
    (tmp_path / "vocabulary.txt").unlink()
    with pytest.raises(LayoutError, match=r"vocabulary\.txt: missing"):
        FeatureLayout.load(tmp_path)
    with pytest.raises(LayoutError, match=r"crf\.json: missing"):
        CrfParameters.load(tmp_path / "crf.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "format 'list'"),
        ('{"format": 2}', "format 2; this version of distillex reads format 1"),
        ('{"format": 1}', "the field 'entity_types' is missing"),
    ],
)
def test_wrong_files_are_refused(tmp_path, content, message):
    path = tmp_path / "crf.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(LayoutError, match=message):
        CrfParameters.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": [0.0]}, "a CRF over 1 entity types needs 5 start, end and transition scores"),
        ({"transitions": [[0.0]]}, "needs 5 start"),
        ({"transitions": 5}, "transitions is 5; a list is expected"),
        ({"transitions": [0.0] * 5}, "transitions holds 0.0; only list is accepted"),
        ({"end": ["x"] * 5}, "end holds 'x'; only int or float is accepted"),
        ({"end": [True] * 5}, "end holds True"),
        ({"start": [1e999] * 5}, "not finite"),
        ({"start": [1e300] * 5}, "not finite or beyond ±1e6"),
        ({"start": [10**400] * 5}, "too large"),
        ({"entity_types": "abc"}, "entity_types is 'abc'; a list is expected"),
        ({"entity_types": [["a"]]}, r"entity_types holds \['a'\]; only str is accepted"),
        ({"entity_types": [""]}, "an entity type is empty"),
        ({"entity_types": ["\ud800"]}, "surrogates not allowed"),
        ({"entity_types": None}, "entity_types is None"),
    ],
)
def test_wrong_crf_fields_are_refused(tmp_path, change, message):
    content = {"format": 1, "entity_types": ["a"], "transitions": [[0.0] * 5] * 5, "start": [0.0] * 5, "end": [0.0] * 5}
    path = tmp_path / "crf.json"
    path.write_text(json.dumps(content | change), encoding="utf-8")
    with pytest.raises(LayoutError, match=rf"crf\.json: .*{message}"):
        CrfParameters.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"types": "abc"}, "types is 'abc'; a list is expected"),
        ({"types": [1]}, "types holds 1; only str is accepted"),
        ({"types": ["n", "n"]}, "the lexicon type 'n' is given twice"),
        ({"types": ["\ud800"]}, "surrogates not allowed"),
        ({"word_hash_size": -5}, "word_hash_size is -5; a whole number from 1"),
        ({"word_hash_size": 2**40}, "word_hash_size is 1099511627776"),
        ({"word_hash_size": 1}, "word_hash_size must be at least 2"),
        ({"word_hash_size": "64"}, "word_hash_size is '64'"),
        ({"words_per_slot": 2.5}, "words_per_slot is 2.5"),
        ({"words_per_slot": True}, "words_per_slot is True"),
        ({"words_per_slot": 65}, "words_per_slot must be in 1 .. 64"),
        ({"buckets": 16}, "buckets is 16; a list is expected"),
        ({"buckets": [8, "16"]}, "buckets holds '16'; only int is accepted"),
        ({"buckets": [-8]}, "a bucket is -8"),
        ({"buckets": [16, 8]}, "buckets must be increasing token counts"),
    ],
)
def test_wrong_layout_fields_are_refused(tmp_path, change, message):
    FeatureLayout(VOCABULARY, ("n",), buckets=(8, 16)).save(tmp_path)
    path = tmp_path / "features.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | change), encoding="utf-8")
    with pytest.raises(LayoutError, match=rf"features\.json.*: .*{message}"):
        FeatureLayout.load(tmp_path)


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ("[PAD]\n甲\n".encode("gb18030"), r"vocabulary\.txt: not UTF-8"),
        (b"", "lacks the token"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n甲\n甲\n".encode(), "the vocabulary holds the token '甲' twice"),
    ],
)
def test_wrong_vocabularies_are_refused(tmp_path, vocabulary, message):
    FeatureLayout(VOCABULARY, ("n",)).save(tmp_path)
    (tmp_path / "vocabulary.txt").write_bytes(vocabulary)
    with pytest.raises(LayoutError, match=message):
        FeatureLayout.load(tmp_path)


def test_the_last_token_counts_without_a_line_end_behind_it(tmp_path):
    FeatureLayout(VOCABULARY, ("n",)).save(tmp_path)
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    assert FeatureLayout.load(tmp_path).vocabulary == VOCABULARY


@pytest.mark.parametrize("content", ["[" * 100_000, '{"format": ' + "9" * 5000 + "}", "\x00", ""])
def test_json_that_python_cannot_read_is_refused(tmp_path, content):
    for name in ("features.json", "crf.json"):
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(LayoutError, match=r"features\.json: not JSON"):
        FeatureLayout.load(tmp_path)
    with pytest.raises(LayoutError, match=r"crf\.json: not JSON"):
        CrfParameters.load(tmp_path / "crf.json")
    (tmp_path / "crf.json").unlink()
    (tmp_path / "crf.json").mkdir()
    with pytest.raises(LayoutError, match=r"crf\.json: cannot be read: Is a directory"):
        CrfParameters.load(tmp_path / "crf.json")


def test_a_file_that_cannot_be_written_leaves_none_beside_it(tmp_path):
    (tmp_path / "kept").write_text("before", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "kept", "\ud800")
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("kept", "before")]
