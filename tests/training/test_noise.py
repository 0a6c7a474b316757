"""Sentences typed with less care: labels move with their characters, entities stay whole."""

import random

import pytest
from distillex_training.data.labelled import GoldSpan, OpenSpan, Sentence
from distillex_training.data.noise import noisy

TEXT = "昨天，张伟在《三体》里说：“买iPhone 15吧！”"
WORDS = {"昨天": "time", "张伟": "name", "三体": "book", "iPhone 15": "product"}
SENTENCE = Sentence(
    TEXT, tuple(sorted(GoldSpan(TEXT.index(w), TEXT.index(w) + len(w), kind) for w, kind in WORDS.items())), weight=0.5
)


def test_entities_keep_their_text_and_type_and_characters_their_place():
    changed = set()
    for seed in range(200):
        drawn = noisy(SENTENCE, random.Random(seed))
        made = drawn.sentence
        assert [(made.text[s.start : s.end], s.type) for s in made.spans] == [
            (TEXT[s.start : s.end], s.type) for s in SENTENCE.spans
        ]
        assert len(drawn.origins) == len(made.text)
        assert made.weight == 0.5
        for place, origin in enumerate(drawn.origins):
            assert origin < 0 or made.text[place] in (TEXT[origin], " ")
        changed.add(made.text)
    assert len(changed) > 20
    assert any("《" not in text for text in changed)
    assert any("，" not in text for text in changed)


def test_the_same_seed_changes_alike():
    assert noisy(SENTENCE, random.Random(3)) == noisy(SENTENCE, random.Random(3))


@pytest.mark.parametrize("text", ["。", "！？", "《》"])
def test_a_sentence_of_marks_alone_never_becomes_empty(text):
    for seed in range(50):
        assert noisy(Sentence(text, ()), random.Random(seed)).sentence.text.strip()


def test_a_partially_labelled_sentence_stays_as_it_is():
    partial = Sentence(TEXT, SENTENCE.spans, (OpenSpan(0, 5, ("company",)),))
    assert all(noisy(partial, random.Random(seed)).sentence is partial for seed in range(10))
