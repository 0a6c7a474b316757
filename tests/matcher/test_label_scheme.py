"""BIOES labels: spans to labels and back, and refused sequences."""

import itertools

import numpy as np
import pytest
from distillex_matcher import LabelScheme
from hypothesis import given
from hypothesis import strategies as st

TYPES = ("company", "name", "scene")


@st.composite
def spans_in_a_text(draw):
    length = draw(st.integers(1, 30))
    cuts = sorted(draw(st.sets(st.integers(0, length), max_size=12)))
    pairs = list(itertools.pairwise(cuts))
    kept = [pair for pair in pairs if draw(st.booleans())]
    return length, [(start, end, draw(st.sampled_from(TYPES))) for start, end in kept]


@given(spans_in_a_text())
def test_decoding_gives_back_the_encoded_spans(case):
    length, spans = case
    scheme = LabelScheme(TYPES)
    labels = scheme.encode(spans, length)
    assert labels.shape == (length,)
    assert scheme.decode(labels) == spans
    allowed = scheme.allowed_transitions
    assert all(allowed[a, b] for a, b in itertools.pairwise(labels))
    assert scheme.allowed_starts[labels[0]]
    assert scheme.allowed_ends[labels[-1]]


def test_the_masks_allow_exactly_what_the_label_names_say():
    scheme = LabelScheme(TYPES)
    labels = scheme.labels
    assert len(scheme) == len(labels) == 13
    assert labels[:6] == ("O", "B-company", "I-company", "E-company", "S-company", "B-name")
    for i, a in enumerate(labels):
        for j, b in enumerate(labels):
            inside = a[0] in "BI"
            expected = (b[0] in "IE" and a[2:] == b[2:]) if inside else b[0] in "OBS"
            assert scheme.allowed_transitions[i, j] == expected, (a, b)
    np.testing.assert_array_equal(scheme.allowed_starts, [label[0] in "OBS" for label in labels])
    np.testing.assert_array_equal(scheme.allowed_ends, [label[0] in "OES" for label in labels])


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(0, 2, "name"), (1, 3, "name")], r"span \[1, 3\) overlaps another"),
        ([(2, 6, "name")], r"span \[2, 6\) does not lie in a text of 5"),
        ([(2, 2, "name")], r"span \[2, 2\)"),
        ([(-1, 2, "name")], r"span \[-1, 2\)"),
        ([(0, 1, "planet")], "unknown entity type 'planet'; known types: company, name, scene"),
    ],
)
def test_refuses_bad_spans(spans, message):
    with pytest.raises(ValueError, match=message):
        LabelScheme(TYPES).encode(spans, 5)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 2], "'I-company' at position 1"), ([1], "no end"), ([1, 0], "'O' at position 1"), ([99], "label id 99")],
)
def test_refuses_sequences_that_break_the_scheme(labels, message):
    with pytest.raises(ValueError, match=message):
        LabelScheme(TYPES).decode(labels)


@pytest.mark.parametrize("types", [[], [""], ["a", "a"]])
def test_refuses_bad_types(types):
    with pytest.raises(ValueError, match="type"):
        LabelScheme(types)
