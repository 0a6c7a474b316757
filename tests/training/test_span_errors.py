"""What became of each entity: kinds of errors, and the table of confused types."""

import itertools
from collections import Counter

import pytest
from distillex_training.data.labelled import GoldSpan, OpenSpan, Sentence
from distillex_training.evaluate import overlapping
from distillex_training.evaluation_report import confusion_columns, confusion_rows, error_lines
from distillex_training.measures import measure
from distillex_training.scored_span import ScoredSpan
from distillex_training.span_errors import NONE, OTHER_BOUNDS, Outcome, count_errors, pairs_of
from hypothesis import given, settings
from hypothesis import strategies as st

TYPES = ("company", "name", "place")
LENGTH = 24


def gold(*spans):
    return Sentence("文" * LENGTH, tuple(GoldSpan(*span) for span in spans))


def found(*spans):
    return [ScoredSpan(*span, 0.5) for span in spans]


@st.composite
def span_lists(draw):
    cuts = sorted(draw(st.sets(st.integers(0, LENGTH), max_size=10)))
    return [(a, b, draw(st.sampled_from(TYPES))) for a, b in itertools.pairwise(cuts) if draw(st.booleans())]


@pytest.mark.parametrize(
    ("labelled", "seen", "outcomes"),
    [
        ([(0, 4, "name")], [(0, 4, "name")], ["right"]),
        ([(0, 4, "name")], [(0, 4, "company")], ["type"]),
        ([(0, 4, "name")], [(0, 3, "name")], ["boundary"]),
        ([(0, 4, "name")], [(3, 9, "company")], ["boundary and type"]),
        ([(0, 4, "name")], [(4, 6, "name")], ["missed", "invented"]),
        # One that was cut in two: one part goes with it, the longer one.
        ([(0, 6, "name")], [(0, 2, "name"), (2, 6, "name")], ["invented", "boundary"]),
        # Two that were taken for one.
        ([(0, 4, "name"), (4, 6, "name")], [(0, 6, "name")], ["boundary", "missed"]),
        # The type says more than the shared characters.
        ([(0, 6, "name")], [(0, 2, "name"), (2, 6, "company")], ["boundary", "invented"]),
        # A chain: each goes with one.
        ([(0, 4, "name"), (4, 8, "name")], [(2, 6, "name"), (6, 9, "name")], ["boundary", "boundary"]),
    ],
)
def test_each_kind_of_error(labelled, seen, outcomes):
    assert [pair.outcome.value for pair in pairs_of(gold(*labelled), found(*seen))] == outcomes


@given(st.lists(st.tuples(span_lists(), span_lists()), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_every_gold_and_every_found_entity_is_counted_exactly_once(sentences):
    golden = [gold(*spans) for spans, _ in sentences]
    seen = [found(*spans) for _, spans in sentences]
    pairs = [pairs_of(*each) for each in zip(golden, seen, strict=True)]
    for sentence, spans, of_sentence in zip(golden, seen, pairs, strict=True):
        assert sorted(pair.gold for pair in of_sentence if pair.gold is not None) == sorted(sentence.spans)
        assert sorted(pair.found for pair in of_sentence if pair.found is not None) == sorted(spans)
    counts = count_errors(pairs)
    assert counts.outcomes[Outcome.RIGHT] == measure(golden, seen).report.micro.correct
    # The table too: each row holds the gold entities of a type once, each column the found ones.
    everything = [each for s in golden for each in s.spans], [each for spans in seen for each in spans]
    for side, spans in enumerate(everything):
        totals = Counter()
        for cell, count in counts.confusion.items():
            totals[cell[side]] += count
        expected = Counter(each.type for each in spans)
        assert {kind: totals[kind] for kind in TYPES} == {kind: expected[kind] for kind in TYPES}


@given(span_lists(), span_lists())
@settings(max_examples=100, deadline=None)
def test_overlaps_are_those_of_every_pair(labelled, seen):
    sentence = gold(*labelled)
    expected = {
        (place, number)
        for place, span in enumerate(sentence.spans)
        for number, (start, end, _) in enumerate(seen)
        if span.start < end and start < span.end
    }
    pairs = overlapping(sentence.spans, seen)
    assert len(pairs) == len(expected)
    assert set(pairs) == expected


def test_partial_labels_say_what_is_right_and_what_is_not_judged():
    sentence = Sentence(
        "北京软件公司昨天", (GoldSpan(0, 6, "company", ("government",)),), open=(OpenSpan(0, 8, ("time",)),)
    )
    assert [p.outcome.value for p in pairs_of(sentence, found((0, 6, "government"), (6, 8, "time")))] == [
        "right",
        "not judged",
    ]
    assert [p.outcome.value for p in pairs_of(sentence, found((0, 4, "government"), (6, 8, "name")))] == [
        "boundary",
        "invented",
    ]
    counts = count_errors([pairs_of(sentence, found((0, 6, "government"), (6, 8, "time")))])
    assert counts.confusion == {("company", "company"): 1}


def test_the_tables_have_types_first_then_other_bounds_and_none():
    sentence = gold((0, 2, "name"), (2, 4, "name"), (4, 8, "place"), (10, 12, "company"))
    counts = count_errors(
        [pairs_of(sentence, found((0, 2, "name"), (2, 4, "company"), (4, 7, "place"), (20, 22, "name")))]
    )
    rows = confusion_rows(counts)
    assert rows == {
        "company": {NONE: 1},
        "name": {"company": 1, "name": 1},
        "place": {OTHER_BOUNDS: 1},
        OTHER_BOUNDS: {"place": 1},
        NONE: {"name": 1},
    }
    assert list(rows) == ["company", "name", "place", OTHER_BOUNDS, NONE]
    assert confusion_columns(rows) == ["company", "name", "place", OTHER_BOUNDS, NONE]
    lines = list(error_lines(counts))
    assert "| right | 1 | 1 |" in lines
    assert "| missed | 1 | – |" in lines
    assert "| invented | – | 1 |" in lines
    assert "| name | 1 | 1 |  |  |  |" in lines
