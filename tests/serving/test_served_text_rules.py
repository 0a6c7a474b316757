"""A model whose layout has text rules: in process and served, by every client, words and documents are the same."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

pytest.importorskip("tritonclient.grpc")
import distillex
from distillex.batch import LocalExtraction
from distillex.models import find_model
from distillex_client import AsyncExtractor, Extractor
from distillex_client.batch.connection import Connection
from distillex_client.batch.options import BatchOptions
from distillex_client.batch.pipeline import extract_chunks
from distillex_client.batch.records import Chunk, Record
from distillex_matcher import FeatureLayout, TextRules
from distillex_matcher.exported import CRF_FILE, NETWORK_FILE
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.repository import Layout
from server_under_test import server_options, why_no_server

pytestmark = pytest.mark.server

DOCUMENT = "小满喜欢iPhone。We like Catone Inc. Products. Catone likes us. 小满买catone了"
WORDS = {"products. catone": {"type": "company", "trust": "insist"}, "catone": {"type": "company", "trust": "insist"}}
"""The first would be found in a document that is cut after no period."""
LARGER = "concatone catones"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A shipped student with the rules of a new model, and one with those of all models before."""
    folders = {}
    for name, rules in (("new", TextRules(word_boundaries=True, sentence_periods=True)), ("old", TextRules())):
        folder = folders[name] = tmp_path_factory.mktemp(name)
        source = find_model("cluener")
        dataclasses.replace(FeatureLayout.load(source), text=rules).save(folder)
        for file in (NETWORK_FILE, CRF_FILE):
            (folder / file).symlink_to(source / file)
    return folders


def surfaces(entities, text=DOCUMENT):
    assert all(text[entity.start : entity.end] == entity.text for entity in entities)
    return [entity.text for entity in entities if "atone" in entity.text]


def batch_surfaces(source):
    with source.open(BatchOptions(["-"], lexicon=WORDS)) as caller:
        chunk = Chunk([Record("1", DOCUMENT)], 1)
        ((found,),) = ((*part.results,) for part in extract_chunks([chunk], caller, batch_size=8, concurrency=1))
    return surfaces(found.entities)


CUT = ["Catone", "Catone", "catone"]


def test_in_process_words_match_whole_and_documents_are_cut_after_periods(models):
    new, old = (distillex.load(models[name], threads=1) for name in ("new", "old"))
    assert surfaces(new.extract_document(DOCUMENT, lexicon=WORDS)) == CUT
    assert "Products. Catone" in surfaces(old.extract_document(DOCUMENT, lexicon=WORDS))
    assert surfaces(new.extract(LARGER, lexicon=WORDS), LARGER) == []
    assert "catone" in surfaces(old.extract(LARGER, lexicon=WORDS), LARGER)
    assert [batch_surfaces(LocalExtraction(str(models["new"]), workers=count)) for count in (None, 1)] == [CUT, CUT]
    assert "Products. Catone" in batch_surfaces(LocalExtraction(str(models["old"])))


@pytest.mark.parametrize("layout", [Layout.FUSED, Layout.ENSEMBLE])
def test_a_server_finds_the_same_and_tells_its_clients_where_to_cut(models, layout):
    if reason := why_no_server():
        pytest.skip(reason)
    expected = distillex.load(models["new"], threads=1).extract_document(DOCUMENT, lexicon=WORDS)
    with EmbeddedServer(server_options(student=models["new"], layout=layout)) as server:
        with Extractor(server.grpc_url) as extractor:
            assert extractor.sentence_periods()
            found = extractor.extract_document(DOCUMENT, lexicon=WORDS)
            assert surfaces(extractor.extract(LARGER, lexicon=WORDS), LARGER) == []

        async def twin():
            async with AsyncExtractor(server.grpc_url) as extractor:
                return await extractor.extract_document(DOCUMENT, lexicon=WORDS)

        assert [(e.start, e.end, e.type) for e in found] == [(e.start, e.end, e.type) for e in expected]
        assert asyncio.run(twin()) == found
        assert batch_surfaces(Connection(server.grpc_url)) == CUT
