"""Low scores and unwanted types are left out, by both clients in every method."""

from __future__ import annotations

import pytest

pytest.importorskip("tritonclient.grpc")
from corpus import varied_texts
from distillex_client import AsyncExtractor, Extractor

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
    with pytest.raises(TypeError, match="types is one str, 'name'"):
        client(types="name")
    for types in ([], ["name", ""]):
        with pytest.raises(ValueError, match="has no type or an empty one"):
            client(types=types)
