"""The load tests' traffic: reproducible, realistic, and accepted by the server."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter

import pytest
from server_under_test import ROOT
from traffic import LENGTHS, SHARES, Traffic


def calls(count, **arguments):
    return list(itertools.islice(Traffic(**arguments), count))


def test_the_same_seed_gives_the_same_calls_and_another_seed_others():
    assert calls(50, seed=3) == calls(50, seed=3)
    assert calls(50, seed=3) != calls(50, seed=4)


def test_kinds_come_in_their_shares():
    counts = Counter(call.kind for call in calls(4000))
    assert {kind: count / 4000 for kind, count in counts.items()} == pytest.approx(SHARES, abs=0.03)


def test_every_request_is_one_that_the_server_accepts():
    for call in calls(500):
        for texts in call.requests:
            assert 1 <= len(texts) <= 64
            assert all(1 <= len(text) <= 510 and text.strip() for text in texts)
        assert call.texts == sum(map(len, call.requests))
        assert (call.lexicon is not None) == (call.kind == "lexicon")


def test_customers_use_the_same_words_every_time():
    lexicons = [tuple(call.lexicon) for call in calls(400, shares={"lexicon": 1.0})]
    assert len(set(lexicons)) <= 50 < len(lexicons)
    assert set(lexicons) & {tuple(call.lexicon) for call in calls(400, seed=2, shares={"lexicon": 1.0})}


def test_lengths_follow_the_histogram():
    content = json.loads(LENGTHS.read_text(encoding="utf-8"))
    expected = sum(a * b for a, b in zip(content["lengths"], content["counts"], strict=True)) / sum(content["counts"])
    lengths = [len(call.requests[0][0]) for call in calls(4000, shares={"single": 1.0})]
    assert sum(lengths) / len(lengths) == pytest.approx(expected, rel=0.05)


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="unknown kinds of calls: chat; known: single"):
        Traffic(shares={"chat": 1.0})


def test_the_histogram_is_made_of_lengths_alone(tmp_path):
    raw, labelled, target = tmp_path / "raw.txt", tmp_path / "train.jsonl", tmp_path / "lengths.json"
    raw.write_text("三个字\n四个字吗\n" + "长" * 511 + "\n\n", encoding="utf-8")
    labelled.write_text(json.dumps({"text": "四个字呢", "entities": []}) + "\n", encoding="utf-8")
    command = [sys.executable, str(ROOT / "load_tests" / "make_lengths.py"), str(raw), str(labelled)]
    subprocess.run([*command, "--output", str(target)], check=True, capture_output=True)
    content = json.loads(target.read_text(encoding="utf-8"))
    assert (content["lengths"], content["counts"]) == ([3, 4], [1, 2])
    assert "个" not in json.dumps(content, ensure_ascii=False)
