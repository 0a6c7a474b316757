"""The asynchronous client against the real server."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

pytest.importorskip("tritonclient.grpc")
from corpus import varied_texts
from distillex_client import AsyncExtractor, Extractor, InvalidText

pytestmark = pytest.mark.server

TEXT = "华为技术有限公司与复旦大学在上海签署协议。"


def without_scores(entities):
    return [(e.start, e.end, e.type, e.text) for e in entities]


async def test_a_thousand_texts_give_the_same_as_with_the_synchronous_client(server):
    texts = varied_texts(1000)
    with Extractor(server.grpc_url) as extractor:
        expected = extractor.extract_batch(texts)
    async with AsyncExtractor(server.grpc_url) as extractor:
        found = await extractor.extract_batch(texts)
    assert sum(len(entities) for entities in expected) > 1000
    assert [without_scores(entities) for entities in found] == [without_scores(entities) for entities in expected]
    for one, other in zip(found, expected, strict=True):
        # The server rounds to four digits, and in which company a text is computed is up to its scheduler.
        assert [e.score for e in one] == pytest.approx([e.score for e in other], abs=1.1e-4)


async def test_64_callers_at_once_get_what_one_gets(server):
    texts = varied_texts(64)
    async with AsyncExtractor(server.grpc_url) as extractor:
        alone = [without_scores(await extractor.extract(text)) for text in texts]

        async def caller(number):
            return [without_scores(await extractor.extract(texts[(number + i) % 64])) for i in range(10)]

        answers = await asyncio.gather(*(caller(number) for number in range(64)))
    for number, found in enumerate(answers):
        assert found == [alone[(number + i) % 64] for i in range(10)]


async def test_a_stream_reads_only_as_far_as_requests_are_in_flight(server):
    taken = []

    def texts():
        for number in range(1000):
            taken.append(number)
            yield "北京大学"

    async def texts_that_come():
        for text in texts():
            await asyncio.sleep(0)
            yield text

    async with AsyncExtractor(server.grpc_url, batch_size=4, concurrency=2) as extractor:
        for source in (texts(), texts_that_come()):
            taken.clear()
            async with contextlib.aclosing(extractor.extract_stream(source)) as stream:
                assert (await anext(stream)).entities
                assert len(taken) <= 4 * 2


async def test_a_bad_text_in_a_stream_hurts_no_other(server):
    texts = ["北京大学", b"\xff", "", "上海"]
    async with AsyncExtractor(server.grpc_url) as extractor:
        rows = [row async for row in extractor.extract_stream(texts)]
        assert [row.error for row in rows] == [None, "the text is not UTF-8 (byte 0)", "the text is empty", None]
        with pytest.raises(InvalidText, match="text 1: the text is not UTF-8") as refused:
            await extractor.extract_batch(texts)
    assert refused.value.row == 1


async def test_an_error_of_the_source_of_texts_reaches_the_reader(server):
    def texts():
        yield from ["北京大学"] * 10
        raise OSError("the disk is gone")

    async with AsyncExtractor(server.grpc_url, batch_size=2) as extractor:
        with pytest.raises(OSError, match="the disk is gone"):
            [row async for row in extractor.extract_stream(texts())]
        assert await extractor.extract(TEXT)


async def test_a_cancelled_caller_leaves_the_client_usable(server):
    async with AsyncExtractor(server.grpc_url) as extractor:
        task = asyncio.create_task(extractor.extract_batch(["北京大学"] * 5000))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await extractor.extract(TEXT)


def test_a_client_outlives_its_event_loop(server):
    extractor = AsyncExtractor(server.grpc_url)
    found = [asyncio.run(extractor.extract(TEXT)) for _ in range(2)]
    assert found[0] == found[1]
    asyncio.run(extractor.close())


async def test_a_client_tells_whether_the_server_is_ready_and_opens_again_after_it_was_closed(server):
    extractor = AsyncExtractor(server.grpc_url)
    assert await extractor.is_ready()
    await extractor.close()
    assert await extractor.extract(TEXT)
    await extractor.close()
    assert not await AsyncExtractor(server.grpc_url, model="nothing").is_ready()
    assert not await AsyncExtractor("127.0.0.1:1").is_ready()
