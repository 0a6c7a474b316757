"""Low scores and unwanted types are left out, by both clients in every method."""

from __future__ import annotations

import pytest

pytest.importorskip("tritonclient.grpc")
from corpus import varied_texts
from distillex_client import AsyncExtractor, Entity, Extractor
from distillex_client.batch.options import BatchOptions
from distillex_client.ray import TableExtraction
from distillex_client.selection import Selection

TEXTS = [*varied_texts(60), "<b>张伟</b>在<i>华为技术有限公司</i>工作，昨天到访北京。"]
DOCUMENT = "\n".join(TEXTS)


def wanted(entities, *, min_score=0.0, types=None):
    return [e for e in entities if e.score >= min_score and (types is None or e.type in types)]


@pytest.mark.server
@pytest.mark.parametrize("chosen", [{"min_score": 0.9}, {"types": ["company"]}, {"min_score": 0.9, "types": {"name"}}])
def test_the_selected_entities_are_those_of_the_whole_answer_that_fit(server, chosen):
    with Extractor(server.grpc_url) as whole, Extractor(server.grpc_url, **chosen) as selecting:
        batch = whole.extract_batch(TEXTS)
        expected = [wanted(found, **chosen) for found in batch]
        assert 0 < sum(map(len, expected)) < sum(map(len, batch))
        assert selecting.extract_batch(TEXTS) == expected
        assert [list(each.entities) for each in selecting.extract_stream(TEXTS)] == expected
        document = wanted(whole.extract_document(DOCUMENT, window=20), **chosen)
        assert selecting.extract_document(DOCUMENT, window=20) == document
        assert selecting.extract(TEXTS[-1]) == wanted(whole.extract(TEXTS[-1]), **chosen)


@pytest.mark.server
async def test_the_asynchronous_client_selects_alike(server):
    chosen = {"min_score": 0.9, "types": ["company", "name"]}
    async with AsyncExtractor(server.grpc_url) as whole, AsyncExtractor(server.grpc_url, **chosen) as selecting:
        expected = [wanted(found, **chosen) for found in await whole.extract_batch(TEXTS)]
        assert await selecting.extract_batch(TEXTS) == expected
        assert [list(each.entities) async for each in selecting.extract_stream(TEXTS)] == expected
        document = wanted(await whole.extract_document(DOCUMENT, window=20), **chosen)
        assert await selecting.extract_document(DOCUMENT, window=20) == document
        assert await selecting.extract(TEXTS[-1]) == wanted(await whole.extract(TEXTS[-1]), **chosen)


@pytest.mark.parametrize("client", [Extractor, AsyncExtractor])
def test_a_selection_that_cannot_be_meant_is_refused(client):
    with pytest.raises(ValueError, match=r"min_score 1\.5 must be from 0 to 1"):
        client(min_score=1.5)
    with pytest.raises(ValueError, match="min_score nan"):
        client(min_score=float("nan"))
    for types in ([], ["name", ""]):
        with pytest.raises(ValueError, match="has no type or an empty one"):
            client(types=types)


def test_types_that_can_be_read_once_only_select_again_and_again():
    selection = Selection(types=(name for name in ("company", "name")))
    entities = [Entity(0, 1, kind, "甲", 1.0) for kind in ("company", "address", "name")]
    for _ in range(2):
        assert [entity.type for entity in selection.of(entities)] == ["company", "name"]
    for options in (BatchOptions(["a.txt"], types=iter(["name"])), TableExtraction(None, types=iter(["name"]))):
        assert options.types == {"name"}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"types": [1]}, "types holds 1, which is int and not str; give the names of types, such as "),
        ({"types": [["name"]]}, "types holds ['name'], which is list and not str; give the names of types, such as "),
        ({"types": "name"}, "types is one str, 'name'; give the names of types, such as "),
        ({"types": b"name"}, "types is one bytes, b'name'; give the names of types, such as "),
        ({"types": 5}, "types is 5, a int; give the names of types, such as "),
        ({"min_score": True}, "min_score is True, a bool; give a number from 0 to 1, such as 0.9"),
        ({"min_score": "0.9"}, "min_score is '0.9', a str; give a number from 0 to 1, such as 0.9"),
        ({"min_score": None}, "min_score is None, a NoneType; give a number from 0 to 1, such as 0.9"),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        Extractor,
        AsyncExtractor,
        lambda **chosen: BatchOptions(["a.txt"], **chosen),
        lambda **chosen: TableExtraction(None, **chosen),
    ],
    ids=["sync", "async", "batch", "cluster"],
)
def test_a_selection_of_the_wrong_kind_is_refused_with_the_right_form(make, chosen, message):
    with pytest.raises(TypeError) as refused:
        make(**chosen)
    assert str(refused.value).startswith(message)
