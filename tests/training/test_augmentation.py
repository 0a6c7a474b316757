"""Lexicon augmentation: which words a training sentence's overlay gets."""

import random

from distillex_matcher import Lexicon
from distillex_training.config import AugmentationConfig
from distillex_training.data.labelled import GoldSpan, Sentence
from distillex_training.lexicon import NO_AUGMENTATION, LexiconAugmenter

SENTENCE = Sentence("北斗软件的赵伟昨天说", (GoldSpan(0, 4, "company"), GoldSpan(5, 7, "name")))
BASE = Lexicon.from_entries([("昨天", "t", 0.5), ("软件", "n", 0.5)])
TYPES = ("company", "name")


def drawn(config, seed=0):
    overlays = LexiconAugmenter(config, BASE, TYPES).overlay(SENTENCE, random.Random(seed))
    return {o[i].word: o[i].type for o in overlays for i in range(len(o))}


def test_gold_spans_enter_with_probability_p():
    assert drawn(AugmentationConfig((1.0,), 0.0, (0,), 0.0)) == {"北斗软件": "company", "赵伟": "name"}
    assert drawn(AugmentationConfig((0.0,), 0.0, (0,), 0.0)) == {}
    config = AugmentationConfig((0.5,), 0.0, (0,), 0.0)
    entered = sum(len(drawn(config, seed)) for seed in range(500))
    assert 400 < entered < 600


def test_base_words_are_hidden_with_probability_q():
    config = AugmentationConfig((0.0,), 1.0, (0,), 0.0)
    hidden = [drawn(config, seed) for seed in range(400)]
    assert all(kind is None for words in hidden for kind in words.values())
    # q is uniform in (0, 1): each of two words is hidden half of the time.
    assert 300 < sum(map(len, hidden)) < 500


def test_wrong_spans_are_pieces_of_the_text_with_a_known_type():
    config = AugmentationConfig((0.0,), 0.0, (2,), 0.5)
    for seed in range(200):
        for word, kind in drawn(config, seed).items():
            assert word in SENTENCE.text
            assert kind in TYPES


def test_a_right_entry_wins_over_a_wrong_one_of_the_same_word():
    config = AugmentationConfig((1.0,), 0.0, (2,), 1.0)
    for seed in range(100):
        words = drawn(config, seed)
        assert (words["北斗软件"], words["赵伟"]) == ("company", "name")


def test_the_same_seed_draws_the_same_overlay():
    config = AugmentationConfig()
    assert [drawn(config, s) for s in range(30)] == [drawn(config, s) for s in range(30)]
    assert drawn(NO_AUGMENTATION) == {}


def test_spans_that_are_no_words_of_a_lexicon_are_left_out():
    sentence = Sentence(
        "北斗\t软件\u200b和赵伟", (GoldSpan(0, 5, "company"), GoldSpan(5, 6, "name"), GoldSpan(7, 9, "name"))
    )
    augmenter = LexiconAugmenter(AugmentationConfig((1.0,), 1.0, (2,), 0.5), BASE, TYPES)
    for seed in range(100):
        overlays = augmenter.overlay(sentence, random.Random(seed))
        words = {overlay[i].word for overlay in overlays for i in range(len(overlay))}
        assert "赵伟" in words
        assert not any("\t" in word or not word.strip("\u200b") for word in words)
