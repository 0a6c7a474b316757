"""The trie finds exactly the words that a search of every substring finds."""

import sys
import threading

import numpy as np
import pytest
from distillex_matcher import MAX_WORD_LENGTH, DoubleArrayTrie
from distillex_matcher.reference import find_all
from hypothesis import given, settings
from hypothesis import strategies as st

ALPHABET = "ab中国北京大学𠮷😀"
WORDS = st.lists(st.text(ALPHABET, min_size=1, max_size=5), unique=True, max_size=30)
TEXTS = st.lists(st.text(ALPHABET + "xé", max_size=40), max_size=5)


@given(WORDS, TEXTS)
@settings(max_examples=300, deadline=None)
def test_finds_exactly_what_looking_at_every_substring_finds(words, texts):
    trie = DoubleArrayTrie(words)
    entries = {word: index for index, word in enumerate(words)}
    expected = [find_all(entries, text) for text in texts]
    assert [trie.find(text) for text in texts] == expected
    matches = trie.find_batch(texts)
    rows = list(zip(*(column.tolist() for column in matches), strict=True))
    assert rows == [(i, *match) for i, found in enumerate(expected) for match in found]


@given(st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=40))
@settings(max_examples=200, deadline=None)
def test_looks_up_every_word_and_no_other_over_all_of_unicode(words):
    trie = DoubleArrayTrie(words)
    assert [trie.lookup(word) for word in words] == list(range(len(words)))
    for word in words:
        for other in (word + word, word[:-1], word + "\U0010ffff"):
            assert (other in trie) == (other in words)


def test_finds_words_across_the_blocks_of_a_long_text():
    words = ["甲" * 255, "乙丙", "甲乙"]
    trie = DoubleArrayTrie(words)
    text = ("甲" * 300 + "乙丙") * 40
    found = trie.find(text)
    expected = []
    for start in range(len(text)):
        for entry in sorted(range(3), key=lambda i: len(words[i])):
            if text.startswith(words[entry], start):
                expected.append((start, start + len(words[entry]), entry))
    assert found == expected


def test_one_trie_serves_several_python_threads_at_once():
    trie = DoubleArrayTrie(["北京", "大学"])
    texts = ["北京大学"] * 500
    expected = trie.find_batch(texts)
    wrong = []

    def search():
        for _ in range(20):
            found = trie.find_batch(texts)
            if not all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)):
                wrong.append(found)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_empty_trie_finds_nothing():
    trie = DoubleArrayTrie([])
    assert len(trie) == 0
    assert trie.find("北京") == []
    assert trie.lookup("") is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["甲", ""], "word 1 is empty"),
        (["甲", "乙", "甲"], "words 0 and 2 are the same"),
        (["甲" * (MAX_WORD_LENGTH + 1)], "has 256 code points; at most 255"),
    ],
)
def test_refuses_bad_words_by_their_index(words, message):
    with pytest.raises(ValueError, match=message):
        DoubleArrayTrie(words)


def test_refuses_what_is_not_text():
    trie = DoubleArrayTrie(["甲"])
    with pytest.raises(TypeError, match="expected str, not bytes"):
        trie.find_batch([b"bytes"])
    with pytest.raises(TypeError, match="expected str, not int"):
        DoubleArrayTrie([1])


def test_texts_that_another_thread_throws_away_meanwhile_are_searched_to_their_end():
    trie = DoubleArrayTrie(["北京"])
    length = 3_000_000
    texts = ["".join(["北京"] * length)]
    found = []
    searching = threading.Thread(target=lambda: found.append(trie.find_batch(texts)))
    searching.start()
    texts.clear()
    searching.join()
    # Cleared before or after the search began, never while it read.
    assert len(found[0].start) in (0, length)


def test_keeps_no_reference_to_the_texts():
    trie = DoubleArrayTrie(["北京"])
    text = "北京" * 3
    before = sys.getrefcount(text)
    trie.find_batch([text])
    assert sys.getrefcount(text) == before
