"""What is no text, or holds none, is refused by name before anything is sent."""

import asyncio

import pytest

pytest.importorskip("tritonclient.grpc")
from distillex_client import AsyncExtractor, Extractor

NOWHERE = "127.0.0.1:9"
"""Nobody listens there."""


def sync_call(method, argument):
    with Extractor(NOWHERE) as extractor:
        return getattr(extractor, method)(argument)


def async_call(method, argument):
    async def call():
        async with AsyncExtractor(NOWHERE) as extractor:
            return await getattr(extractor, method)(argument)

    return asyncio.run(call())


@pytest.mark.parametrize("call", [sync_call, async_call], ids=["sync", "async"])
@pytest.mark.parametrize("method", ["extract", "extract_document"])
@pytest.mark.parametrize("text", [None, 5, ["a"], bytearray(b"a")], ids=repr)
def test_one_text_that_is_none_is_refused_alike_by_both_methods(call, method, text):
    with pytest.raises(TypeError) as refused:
        call(method, text)
    assert str(refused.value) == f"text {text!r} is {type(text).__name__}; str or UTF-8 bytes are accepted"


@pytest.mark.parametrize("call", [sync_call, async_call], ids=["sync", "async"])
@pytest.mark.parametrize("texts", [None, 5])
def test_what_holds_no_texts_is_refused(call, texts):
    with pytest.raises(TypeError) as refused:
        call("extract_batch", texts)
    assert str(refused.value) == f"texts is {texts!r}, a {type(texts).__name__}; give a list of texts"


@pytest.mark.parametrize("call", [sync_call, async_call], ids=["sync", "async"])
def test_one_text_of_any_kind_is_no_list_of_texts(call):
    for text in ("甲", b"a", bytearray(b"a")):
        with pytest.raises(TypeError, match=f"texts is one {type(text).__name__}; give a list of texts"):
            call("extract_batch", text)
