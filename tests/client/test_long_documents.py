"""Documents of any length through the real server."""

from __future__ import annotations

import asyncio
import random
import re
from itertools import pairwise

import pytest

pytest.importorskip("tritonclient.grpc")
from corpus import SENTENCES, long_document
from distillex_client import AsyncExtractor, Extractor, split_document

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def extractor(server):
    with Extractor(server.grpc_url) as connected:
        yield connected


def spans(entities):
    return [(e.start, e.end, e.type, e.text) for e in entities]


@pytest.mark.slow
@pytest.mark.nightly
def test_a_document_of_a_megabyte_has_exact_offsets_whatever_the_window(extractor):
    document = long_document(1_000_000, longest_sentence=128)
    found = {window: spans(extractor.extract_document(document, window=window)) for window in (128, 256, 512)}
    assert len(found[128]) > 10_000
    assert all(document[start:end] == text for start, end, _, text in found[128])
    assert found[128] == found[256] == found[512]


def test_results_differ_between_windows_only_inside_sentences_that_do_not_fit(extractor):
    document = long_document(60_000, longest_sentence=400)
    fitting = [(p.start, p.end) for p in split_document(document, window=400) if p.end - p.start <= 128]
    assert 20 < len(fitting) < len(split_document(document, window=400)) - 20

    def inside(window):
        entities = extractor.extract_document(document, window=window)
        assert all(document[e.start : e.end] == e.text for e in entities)
        assert all(one.end <= other.start for one, other in pairwise(entities))
        return [[s for s in spans(entities) if start <= s[0] < end] for start, end in fitting]

    assert inside(128) == inside(256) == inside(510)


def test_both_clients_give_the_same_of_a_document_as_text_and_as_bytes(extractor, server):
    document = long_document(30_000, longest_sentence=300)
    expected = extractor.extract_document(document)

    async def with_asyncio():
        async with AsyncExtractor(server.grpc_url) as client:
            return await client.extract_document(document.encode())

    assert spans(asyncio.run(with_asyncio())) == spans(expected)


def test_a_sentence_gives_the_same_entities_in_whatever_company_it_is_sent(extractor):
    alone = {sentence: extractor.extract(sentence) for sentence in set(SENTENCES)}
    generator = random.Random(3)
    for longest in (20, 200, 510):
        company = [re.sub(r"\s", "", "".join(generator.choices(SENTENCES, k=12)))[:longest] for _ in SENTENCES]
        mixed = [text for pair in zip(SENTENCES, company, strict=True) for text in pair]
        for sentence, found in zip(SENTENCES, extractor.extract_batch(mixed)[::2], strict=True):
            assert spans(found) == spans(alone[sentence])
            for one, other in zip(found, alone[sentence], strict=True):
                assert one.score == pytest.approx(other.score, abs=1.1e-4)


@pytest.mark.parametrize("document", ["", " \n\t\r\n", "。", "…！？"])
def test_a_document_without_text_is_answered(extractor, document):
    assert extractor.extract_document(document) == []


def test_words_given_for_a_document_reach_every_sentence_of_it(extractor):
    document = "近日，青石云科发布了新一代平台。\n" * 100
    found = extractor.extract_document(document, lexicon={"青石云科": "company"})
    assert sum(e.text == "青石云科" and e.type == "company" for e in found) == 100
