import json

import numpy as np
import pytest
from distillex_matcher import CrfParameters, FeatureLayout, LayoutError, Lexicon

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁", "甲", "\x85", "乙")


def test_a_saved_layout_is_the_layout(tmp_path):
    layout = FeatureLayout(VOCABULARY, ("n", "company"), word_hash_size=64, words_per_slot=2, buckets=(8, 16))
    layout.save(tmp_path)
    assert FeatureLayout.load(tmp_path) == layout
    featurizer = FeatureLayout.load(tmp_path).featurizer()
    assert featurizer.vocabulary == VOCABULARY
    assert (featurizer.types, featurizer.word_hash_size, featurizer.words_per_slot) == (("n", "company"), 64, 2)


def test_word_ids_can_be_told_from_those_of_a_layout_with_distinct_words():
    layout = FeatureLayout(VOCABULARY, ("n",))
    larger = layout.with_distinct_words()
    assert larger.word_hash_size == 1 + 512 * 32767
    assert larger.with_distinct_words() == larger
    assert layout.tells_words_of(larger)
    assert not larger.tells_words_of(layout)
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
    "change", [{"start": [0.0]}, {"transitions": [[0.0]]}, {"end": ["x"] * 5}, {"start": [1e999] * 5}]
)
def test_wrong_crf_numbers_are_refused(tmp_path, change):
    content = {"format": 1, "entity_types": ["a"], "transitions": [[0.0] * 5] * 5, "start": [0.0] * 5, "end": [0.0] * 5}
    path = tmp_path / "crf.json"
    path.write_text(json.dumps(content | change), encoding="utf-8")
    with pytest.raises(LayoutError):
        CrfParameters.load(path)
