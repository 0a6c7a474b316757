"""Runs on a GPU have few shapes: every row is in one, and none is larger than the memory that was set aside."""

from __future__ import annotations

import pytest
from distillex.gpu.buckets import BATCHES, MOST_TOKENS, Bucket, Buckets
from hypothesis import given
from hypothesis import strategies as st

LAYOUT = (16, 32, 64, 128, 256, 512)


@given(st.integers(1, 3000), st.integers(1, 512))
def test_every_row_is_covered_by_buckets_that_are_there(rows, tokens):
    buckets = Buckets(LAYOUT)
    covered = buckets.cover(rows, tokens)
    assert set(covered) <= set(buckets)
    assert all(bucket.tokens >= tokens for bucket in covered)
    assert sum(bucket.rows for bucket in covered[:-1]) < rows <= sum(bucket.rows for bucket in covered)


@given(st.integers(1, 256), st.integers(1, 128))
def test_a_batch_is_not_padded_beyond_the_next_bucket(rows, tokens):
    (bucket,) = Buckets(LAYOUT).cover(rows, tokens)
    assert bucket.rows == next(batch for batch in BATCHES if batch >= rows)
    assert bucket.tokens == next(length for length in LAYOUT[1:] if length >= tokens)


def test_no_bucket_exceeds_the_memory_and_the_longest_text_has_one():
    buckets = list(Buckets(LAYOUT))
    assert all(bucket.rows * bucket.tokens <= MOST_TOKENS for bucket in buckets)
    assert max(bucket.rows * bucket.tokens for bucket in buckets) == MOST_TOKENS
    assert Bucket(512, 1) in buckets
    assert list(Buckets((100,), (8,), most_tokens=50)) == [Bucket(100, 1)]


def test_the_largest_is_prepared_first():
    sizes = [bucket.rows * bucket.tokens for bucket in Buckets(LAYOUT)]
    assert sizes == sorted(sizes, reverse=True)


def test_lengths_of_a_few_tokens_share_the_shortest_bucket_and_stay_where_there_is_none_longer():
    assert {bucket.tokens for bucket in Buckets(LAYOUT)} == {32, 64, 128, 256, 512}
    assert {bucket.tokens for bucket in Buckets((8, 16))} == {16}


def test_a_text_longer_than_all_buckets_is_refused():
    with pytest.raises(ValueError, match="513 tokens: the longest bucket has 512"):
        Buckets(LAYOUT).cover(1, 513)
