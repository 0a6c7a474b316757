"""Picking the raw sentences that are most like the labelled ones."""

from distillex_training.data.nearest import nearest_sentences

LIKE = ["他历任副总经理、总经理。", "她曾任总经理助理。", "历任董事、副总经理。"]
RAW = ["今天天气很好。", "历任副总经理、董事。", "好", "她曾任总经理助理。", "我们去公园玩。", "曾任董事、总经理。"]


def test_sentences_like_the_text_are_picked_in_the_order_of_the_raw_text():
    assert nearest_sentences(RAW, LIKE, 2) == ["历任副总经理、董事。", "曾任董事、总经理。"]


def test_known_sentences_and_single_characters_are_never_picked():
    assert nearest_sentences(RAW, LIKE, 99) == [RAW[0], RAW[1], RAW[4], RAW[5]]
    assert nearest_sentences(["好", LIKE[0]], LIKE, 1) == []


def test_a_bigram_that_the_raw_text_is_full_of_tells_little():
    # The one sentence is all of bigrams that the text has, but so is the whole raw text.
    raw = [*(f"总经理{'。' * i}" for i in range(1, 30)), "副总"]
    assert nearest_sentences(raw, ["副总说", "总经理"], 1) == ["副总"]


def test_lone_surrogates_and_characters_beyond_the_basic_plane_are_characters():
    assert nearest_sentences(["\ud800𠮷野", "甲乙丙"], ["𠮷野家"], 1) == ["\ud800𠮷野"]
