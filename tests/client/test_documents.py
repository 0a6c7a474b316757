"""Long documents are cut into windows; no entity is cut or doubled at a seam."""

import random

import pytest
from distillex_client import Entity, split_document
from distillex_client.documents import Window, merge_windows
from hypothesis import given, settings
from hypothesis import strategies as st

TEXT = st.text("甲乙丙。！？\n ”a", max_size=200)


@given(TEXT, st.integers(3, 40))
@settings(max_examples=300, deadline=None)
def test_every_character_lies_in_exactly_one_core(document, window):
    windows = split_document(document, window=window, overlap=window // 3)
    covered = [0] * len(document)
    for piece in windows:
        assert piece.start <= piece.core_start < piece.core_end <= piece.end
        assert piece.end - piece.start <= window
        for i in range(piece.core_start, piece.core_end):
            covered[i] += 1
    for character, count in zip(document, covered, strict=True):
        assert count == 1 or (count == 0 and character.isspace())


@given(TEXT, st.integers(64, 100), st.integers(64, 100))
@settings(max_examples=200, deadline=None)
def test_pieces_do_not_depend_on_the_window_where_every_sentence_fits(document, one, other):
    pieces = split_document(document, window=one, overlap=5)
    if all(p.end - p.start < 64 for p in pieces):
        assert split_document(document, window=other, overlap=5) == pieces


def test_sentences_end_behind_their_closing_quotes():
    document = "他说：“好。”然后走了！\n\n再见"
    pieces = [document[p.start : p.end] for p in split_document(document)]
    assert pieces == ["他说：“好。”", "然后走了！", "再见"]


def test_seams_neither_double_nor_cut_an_entity():
    document = "".join(chr(0x4E00 + i) for i in range(1000))
    windows = split_document(document, window=100, overlap=40)
    assert len(windows) > 10
    generator = random.Random(1)
    truth = []
    position = 0
    while position < 980:
        position += generator.randint(1, 9)
        truth.append((position, position + generator.randint(1, 8)))
        position = truth[-1][1]

    def found(window: Window):
        return [
            Entity(s - window.start, e - window.start, "x", document[s:e], 0.5)
            for s, e in truth
            if window.start <= s and e <= window.end
        ]

    merged = merge_windows(windows, [found(w) for w in windows])
    assert [(e.start, e.end) for e in merged] == truth
    assert all(document[e.start : e.end] == e.text for e in merged)


@pytest.mark.parametrize(("window", "overlap"), [(10, 5), (10, -1), (1, 1)])
def test_an_overlap_that_leaves_no_core_is_refused(window, overlap):
    with pytest.raises(ValueError, match="overlap"):
        split_document("甲", window=window, overlap=overlap)
