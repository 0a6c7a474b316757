"""The lexicons of requests are kept for the next request, within a bound of memory that no caller can move."""

import json
import random

import pytest
from distillex import request_lexicons
from distillex.errors import RefusedError
from distillex.request_lexicons import Limits, RequestLexicons
from distillex_matcher import Lexicon, LexiconError


def accept(lexicon: Lexicon) -> None:
    pass


@pytest.fixture
def lexicons():
    return RequestLexicons(Limits(1000, 65536, 64), accept)


def of_every_plane(seed):
    """A small JSON text whose lexicon is as large as can be: each character lies in a page of its own."""
    pages = random.Random(seed).sample(range(0x100, 0x10F0), 3600)
    points = [page * 256 + seed % 256 for page in pages if not 0xD8 <= page < 0xE0]
    words = {"".join(map(chr, points[start : start + 60])): None for start in range(0, len(points), 60)}
    return json.dumps(words, ensure_ascii=False).encode()


def test_the_same_content_is_built_once(lexicons):
    first = lexicons(b'{"a": "b"}')
    assert lexicons(b'{"a": "b"}') is first
    assert lexicons(b'{"a": "c"}') is not first


def test_words_that_differ_in_their_trust_alone_are_other_words(lexicons):
    found = [lexicons(f'{{"a": {said}}}'.encode())[0] for said in ('"b"', '{"type": "b"}', '{"type": "b", "trust": 2}')]
    assert [(entry.type, entry.trust) for entry in found] == [("b", None), ("b", None), ("b", 2.0)]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('{"trust": 1}', "the type of 'a' is None; beside a trust a type name is accepted"),
        ('{"type": null, "trust": 1}', "the type of 'a' is None; beside a trust"),
        ('{"type": "b", "trsut": 1}', "'a' has the key 'trsut'; type and trust are accepted"),
        ('{"type": "b", "trust": "must"}', "the trust 'must' is not accepted"),
        ('{"type": "b", "trust": true}', "the trust True is not accepted"),
        ('{"type": "b", "trust": 1e999}', "the trust inf is not accepted"),
        ('{"type": "b", "trust": ' + "9" * 4000 + "}", "the trust 999"),
        ('{"type": "b", "type": "c"}', "holds the key 'type' twice"),
        ('{"type": {"type": "b"}}', "the type of 'a' is"),
    ],
)
def test_a_word_that_says_too_much_is_refused(lexicons, said, reason):
    with pytest.raises(RefusedError) as refused:
        lexicons(f'{{"a": {said}}}'.encode())
    assert str(refused.value).startswith("LEXICON")
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 200


def test_the_least_recently_used_goes_first(lexicons, monkeypatch):
    monkeypatch.setattr(request_lexicons, "MOST_CACHED", 2)
    first, second = lexicons(b'{"a": "1"}'), lexicons(b'{"a": "2"}')
    assert lexicons(b'{"a": "1"}') is first
    lexicons(b'{"a": "3"}')
    assert lexicons(b'{"a": "1"}') is first
    assert lexicons(b'{"a": "2"}') is not second


def test_large_lexicons_are_kept_within_the_bound(lexicons):
    contents = [of_every_plane(seed) for seed in range(40)]
    assert all(len(content) <= 65536 for content in contents)
    sizes = [lexicons(content).size_bytes for content in contents]
    assert sum(sizes) > 2 * request_lexicons.MOST_CACHED_BYTES
    assert 0 < lexicons.cached_bytes <= request_lexicons.MOST_CACHED_BYTES
    last = lexicons(contents[-1])
    assert lexicons(contents[-1]) is last


def test_what_is_refused_is_not_kept():
    def refuse(lexicon):
        raise LexiconError("no")

    lexicons = RequestLexicons(Limits(1000, 65536, 64), refuse)
    for _ in range(2):
        with pytest.raises(RefusedError, match="LEXICON: no"):
            lexicons(b'{"a": "b"}')
    assert lexicons.cached_bytes == 0
