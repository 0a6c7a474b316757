"""A lexicon that is no mapping of words to types is refused where it is given, with the right form."""

import asyncio

import pytest

pytest.importorskip("tritonclient.grpc")
from distillex_client import AsyncExtractor, Extractor
from distillex_client.batch.run import BatchOptions
from distillex_client.ray import TableExtraction

NOWHERE = "127.0.0.1:9"
"""Nobody listens there: what is refused is refused before anything is sent."""
WRONG = {
    "a set": ({"张伟"}, "lexicon is a set; "),
    "a list": (["张伟"], "lexicon is a list; "),
    "pairs": ([("张伟", "name")], "lexicon is a list; "),
    "a text": ("张伟", "lexicon is a str; "),
    "nothing in a list": ([], "lexicon is a list; "),
    "an empty text": ("", "lexicon is a str; "),
    "JSON": (b'{"a": "b"}', "lexicon is a bytes; "),
    "a number as type": ({"张伟": 3}, "lexicon gives '张伟' the type 3, which is int; "),
    "a list as type": ({"张伟": ["name"]}, "lexicon gives '张伟' the type ['name'], which is list; "),
    "false as type": ({"张伟": False}, "lexicon gives '张伟' the type False, which is bool; "),
    "a number as word": ({3: "name"}, "lexicon holds the word 3, which is int and not str; "),
    "bytes as word": ({b"a": "name"}, "lexicon holds the word b'a', which is bytes and not str; "),
}


def sync_call(lexicon, method, texts, **others):
    with Extractor(NOWHERE) as extractor:
        return getattr(extractor, method)(texts, lexicon=lexicon, **others)


def async_call(lexicon, method, texts, **others):
    async def call():
        async with AsyncExtractor(NOWHERE) as extractor:
            result = getattr(extractor, method)(texts, lexicon=lexicon, **others)
            return await result

    return asyncio.run(call())


@pytest.mark.parametrize(("lexicon", "message"), WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize(
    ("method", "texts"), [("extract", "甲"), ("extract_batch", ["甲"]), ("extract_document", "甲")]
)
@pytest.mark.parametrize("call", [sync_call, async_call], ids=["sync", "async"])
def test_calls_refuse_it(call, method, texts, lexicon, message):
    with pytest.raises(TypeError) as refused:
        call(lexicon, method, texts)
    form = 'give a mapping of words to types, such as {"张伟": "name"}; the type None hides a word'
    assert str(refused.value) == message + form


WRONG_FIELDS = {
    "an unknown field": ({"type": "name", "trsut": 1}, "lexicon gives '张伟' the field 'trsut'; "),
    "no type": ({"trust": "insist"}, "lexicon gives '张伟' the type None, which is NoneType; "),
    "a number as type": ({"type": 3}, "lexicon gives '张伟' the type 3, which is int; "),
    "a list as trust": (
        {"type": "name", "trust": [1]},
        "lexicon gives '张伟' a trust that is not accepted: trust is [1], a list; ",
    ),
    "true as trust": (
        {"type": "name", "trust": True},
        "lexicon gives '张伟' a trust that is not accepted: trust is True, a bool; ",
    ),
}


@pytest.mark.parametrize(("fields", "message"), WRONG_FIELDS.values(), ids=WRONG_FIELDS.keys())
def test_a_word_whose_fields_are_wrong_is_refused(fields, message):
    for make in (
        lambda: Extractor(NOWHERE).extract("甲", lexicon={"张伟": fields}),
        lambda: BatchOptions(inputs=["a.txt"], lexicon={"张伟": fields}),
    ):
        with pytest.raises(TypeError) as refused:
            make()
        assert str(refused.value).startswith(message)


@pytest.mark.parametrize("trust", [True, [1], b"insist", 1j, {"trust": 1}])
def test_a_trust_that_is_neither_a_level_nor_a_number_is_refused(trust):
    for call in (sync_call, async_call):
        for method, texts in (("extract", "甲"), ("extract_batch", ["甲"]), ("extract_document", "甲")):
            with pytest.raises(TypeError, match='give "hint", "prefer", "insist" or a number from 0 to 1000'):
                call({"张伟": "name"}, method, texts, trust=trust)
    for make in (
        lambda: BatchOptions(inputs=["a.txt"], trust=trust),
        lambda: TableExtraction(connection=None, trust=trust),
    ):
        with pytest.raises(TypeError, match="a number from 0 to 1000"):
            make()


@pytest.mark.parametrize("name", [7, ["finance"], b"finance"])
def test_a_lexicon_name_that_is_no_text_is_refused(name):
    with pytest.raises(TypeError, match="give a name such as 'finance'"):
        Extractor("127.0.0.1:1").extract("甲", lexicon_name=name)


@pytest.mark.parametrize(("lexicon", "message"), WRONG.values(), ids=WRONG.keys())
def test_batch_runs_and_clusters_refuse_it(lexicon, message):
    for make in (
        lambda: BatchOptions(inputs=["a.txt"], lexicon=lexicon),
        lambda: TableExtraction(connection=None, lexicon=lexicon),
    ):
        with pytest.raises(TypeError) as refused:
            make()
        assert str(refused.value).startswith(message)
