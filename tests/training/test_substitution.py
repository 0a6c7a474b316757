"""Sentences made by exchanging entities."""

import random

from distillex_training.data.labelled import GoldSpan, Sentence
from distillex_training.data.substitution import MentionExchanger, substituted_sentences, unchanged

MET = Sentence("张伟见到了李娜芳。", (GoldSpan(0, 2, "name"), GoldSpan(5, 8, "name")))
JOINED = Sentence("王敏加入东方电子。", (GoldSpan(0, 2, "name"), GoldSpan(4, 8, "company")))
NOTHING = Sentence("今天下雨。", ())
OVERLAPPING = Sentence("北京大学", (GoldSpan(0, 2, "place"), GoldSpan(0, 4, "organization")))


def test_entities_are_exchanged_for_others_of_their_type_and_nothing_else_changes():
    names = ("张伟", "李娜芳", "王敏")
    possible = {f"{a}见到了{b}。" for a in names for b in names} | {f"{a}加入东方电子。" for a in names}
    made = substituted_sentences([MET, JOINED, NOTHING, OVERLAPPING], 1000, longest=80, seed=1)
    assert set(made) == possible - {MET.text, JOINED.text}
    assert len(made) == len(set(made))


def test_the_seed_decides():
    first, again, other = (substituted_sentences([MET, JOINED], 4, longest=80, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 4


def test_longer_results_are_left_out_and_no_entities_give_nothing():
    assert all(len(text) <= 8 for text in substituted_sentences([MET, JOINED], 50, longest=8, seed=1))
    assert substituted_sentences([NOTHING, OVERLAPPING], 5, longest=80, seed=1) == []


def test_crossed_entities_begin_like_one_and_end_like_another():
    made = substituted_sentences([MET, JOINED], 1000, longest=80, seed=1, invented=1.0)
    names = {text[: text.index("加入")] for text in made if "加入" in text}
    # Names of two or three characters, and all their crossings.
    whole = {"张伟", "李娜芳", "王敏"}
    halves = {a[0] + b[-1] for a in whole for b in whole} | {a[0] + b[1:] for a in whole for b in whole}
    assert names <= whole | halves | {"李娜伟", "李娜敏", "李娜芳"}
    assert names & {"张敏", "王伟"}


def test_exchanged_sentences_keep_their_labels_and_know_where_their_characters_stood():
    names = ("欧阳修", "李白")
    exchanger = MentionExchanger([(name, "name") for name in names], longest=10)
    seen = set()
    for seed in range(200):
        drawn = exchanger.draw(MET, random.Random(seed))
        text, spans = drawn.sentence.text, drawn.sentence.spans
        surfaces = [text[span.start : span.end] for span in spans]
        assert all(
            surface in names or surface == old for surface, old in zip(surfaces, ("张伟", "李娜芳"), strict=True)
        )
        assert text == "{}见到了{}。".format(*surfaces)
        assert len(drawn.origins) == len(text)
        for place, origin in enumerate(drawn.origins):
            if origin == -1:
                assert any(span.start <= place < span.end for span in spans)
            else:
                assert MET.text[origin] == text[place]
        seen.add(text)
    assert len(seen) == 8  # one or both exchanged: 3 * 3 possibilities less the sentence itself


def test_what_overlaps_or_would_be_too_long_stays_as_it_is():
    exchanger = MentionExchanger([("布宜诺斯艾利斯", "place"), ("布宜诺斯艾利斯", "name")], longest=9)
    for sentence in (OVERLAPPING, NOTHING, MET):
        assert exchanger.draw(sentence, random.Random(1)) == unchanged(sentence)
