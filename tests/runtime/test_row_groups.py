"""Rows are divided into runs: every row once, nothing cut off, little padding, bounded memory."""

from __future__ import annotations

from itertools import pairwise

import pytest
from distillex.row_groups import STEP, group_rows
from hypothesis import given
from hypothesis import strategies as st

LENGTHS = st.lists(st.integers(0, 512), max_size=80)


def groups_of(lengths, call_cost=32, most_tokens=4096):
    return group_rows(lengths, call_cost, most_tokens)


@given(LENGTHS, st.integers(0, 300), st.integers(1, 8192))
def test_every_row_with_tokens_is_run_once_and_whole(lengths, call_cost, most_tokens):
    groups = groups_of(lengths, call_cost, most_tokens)
    run = sorted(row for group in groups for row in group.rows)
    assert run == [row for row, length in enumerate(lengths) if length > 0]
    for group in groups:
        longest = max(lengths[row] for row in group.rows)
        assert longest <= group.tokens < longest + STEP


@given(LENGTHS, st.integers(0, 300))
def test_no_run_is_larger_than_the_limit(lengths, call_cost):
    for group in groups_of(lengths, call_cost, 1024):
        assert len(group.rows) * group.tokens <= 1024 or len(group.rows) == 1


@given(LENGTHS, st.integers(0, 300))
def test_padding_is_at_most_what_the_saved_calls_cost(lengths, call_cost):
    exact = sum(-(-length // STEP) * STEP for length in lengths)
    distinct = len({-(-length // STEP) for length in lengths if length})
    groups = groups_of(lengths, call_cost, 10**9)
    padded = sum(len(group.rows) * group.tokens for group in groups)
    assert 0 <= padded - exact <= call_cost * (distinct - len(groups))


@given(LENGTHS, st.integers(0, 300))
def test_a_call_of_its_own_is_cheaper_than_the_padding_that_would_save_it(lengths, call_cost):
    for group, longer in pairwise(groups_of(lengths, call_cost, 10**9)):
        next_tokens = -(-min(lengths[row] for row in longer.rows) // STEP) * STEP
        assert len(group.rows) * (next_tokens - group.tokens) > call_cost


@pytest.mark.parametrize(
    ("call_cost", "expected"),
    [(0, [(1, 16), (2, 40), (1, 512)]), (24, [(3, 40), (1, 512)]), (10_000, [(4, 512)])],
    ids=["calls are free", "one row joins its neighbours", "calls are dear"],
)
def test_a_dearer_call_joins_more_lengths(call_cost, expected):
    groups = groups_of([12, 510, 38, 0, 33], call_cost)
    assert [(len(group.rows), group.tokens) for group in groups] == expected
