import itertools

import pytest
from distillex_training.data.labelled import GoldSpan, Sentence
from distillex_training.evaluate import recall_by_surface, score
from distillex_training.lexicon_evaluation import random_entries, right_entries
from hypothesis import given, settings
from hypothesis import strategies as st

TYPES = ("company", "name")


@st.composite
def labelled(draw):
    length = draw(st.integers(1, 20))
    cuts = sorted(draw(st.sets(st.integers(0, length), max_size=8)))
    pairs = itertools.pairwise(cuts)
    return length, [(a, b, draw(st.sampled_from(TYPES))) for a, b in pairs if draw(st.booleans())]


def to_bioes(length, spans):
    from distillex_matcher import LabelScheme

    scheme = LabelScheme(TYPES)
    return [scheme.labels[label] for label in scheme.encode(spans, length)]


@given(st.lists(st.tuples(labelled(), labelled()), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_scores_are_those_of_seqeval(pairs):
    seqeval = pytest.importorskip("seqeval.metrics", reason="needs seqeval")
    from seqeval.scheme import IOBES

    gold, predicted, gold_tags, predicted_tags = [], [], [], []
    for (length, spans), (other_length, other_spans) in pairs:
        length = max(length, other_length)
        gold.append(spans)
        predicted.append(other_spans)
        gold_tags.append(to_bioes(length, spans))
        predicted_tags.append(to_bioes(length, other_spans))
    report = score(gold, predicted)
    options = {"mode": "strict", "scheme": IOBES, "zero_division": 0}
    assert report.micro.precision == pytest.approx(seqeval.precision_score(gold_tags, predicted_tags, **options))
    assert report.micro.recall == pytest.approx(seqeval.recall_score(gold_tags, predicted_tags, **options))
    assert report.micro.f1 == pytest.approx(seqeval.f1_score(gold_tags, predicted_tags, **options))
    theirs = seqeval.classification_report(gold_tags, predicted_tags, output_dict=True, **options)
    for kind, scores in report.per_type.items():
        assert scores.f1 == pytest.approx(theirs[kind]["f1-score"])
        assert scores.gold == theirs[kind]["support"]


def test_a_span_counts_only_with_its_exact_bounds_and_type():
    report = score([[(0, 2, "name"), (3, 5, "name")]], [[(0, 2, "company"), (3, 4, "name")]])
    assert (report.micro.correct, report.micro.predicted, report.micro.gold) == (0, 2, 2)
    assert report.micro.f1 == 0.0


def test_sentences_are_paired():
    with pytest.raises(ValueError, match="2 gold sentences, but 1 predicted"):
        score([[], []], [[]])


SENTENCES = [Sentence("北斗软件的赵伟", (GoldSpan(0, 4, "company"), GoldSpan(5, 7, "name")))]


def test_recall_is_split_by_surfaces_known_from_training():
    seen, unseen = recall_by_surface(SENTENCES, [[(0, 4, "company")]], {"赵伟"})
    assert (seen.correct, seen.gold) == (0, 1)
    assert (unseen.correct, unseen.gold) == (1, 1)


def test_lexicon_conditions_hold_right_entries_for_unseen_entities_and_wrong_ones_apart_from_them():
    right = right_entries(SENTENCES, {"赵伟"})
    assert right == {"北斗软件": "company"}
    wrong = random_entries(SENTENCES, TYPES, 10, right, seed=1)
    assert len(wrong) == 10
    assert not set(wrong) & set(right)
    assert all(word in SENTENCES[0].text and kind in TYPES for word, kind in wrong.items())
