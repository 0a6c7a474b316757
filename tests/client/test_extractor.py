"""The client against the real server."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import subprocess
import sys
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

pytest.importorskip("tritonclient.grpc")
import grpc
from corpus import varied_texts
from counting_relay import CountingRelay
from distillex_client import (
    AsyncExtractor,
    Extractor,
    InvalidRequest,
    InvalidText,
    Retries,
    ServerError,
    ServerUnavailable,
)
from recording_server import RecordingServer

pytestmark = pytest.mark.server

TEXTS = [
    "华为技术有限公司与复旦大学在上海签署协议。",
    "😀👨‍👩‍👧张伟在ＩＢＭ中国研究院工作\t\n",
    "𠮷野家的e\u0301é董事长李强访问北京大学",
]


def without_scores(entities):
    return [(e.start, e.end, e.type, e.text) for e in entities]


@pytest.fixture(scope="module")
def extractor(server):
    with Extractor(server.grpc_url) as connected:
        yield connected


def test_extracts_entities_with_exact_offsets(extractor):
    for text in TEXTS:
        entities = extractor.extract(text)
        assert entities
        for entity in entities:
            assert text[entity.start : entity.end] == entity.text
            assert 0 <= entity.score <= 1
    assert "华为技术有限公司" in [e.text for e in extractor.extract(TEXTS[0]) if e.type == "company"]


def test_a_batch_gives_what_single_texts_give_in_order(extractor):
    generator = random.Random(1)
    texts = [generator.choice(TEXTS)[: generator.randint(3, 20)] for _ in range(150)]
    spans = [without_scores(found) for found in extractor.extract_batch(texts)]
    alone = {text: without_scores(extractor.extract(text)) for text in set(texts)}
    assert spans == [alone[text] for text in texts]


def test_a_stream_reads_only_as_far_as_requests_are_in_flight(server):
    taken = []

    def texts():
        for number in range(1000):
            taken.append(number)
            yield "北京大学"

    with Extractor(server.grpc_url, batch_size=4, concurrency=2) as extractor:
        stream = extractor.extract_stream(texts())
        next(stream)
        assert len(taken) <= 4 * 4
        stream.close()


def test_a_bad_text_in_a_batch_is_named_and_hurts_no_other(extractor):
    texts = ["北京大学", b"\xff", "", "上海"]
    with pytest.raises(InvalidText, match="text 1: the text is not UTF-8") as refused:
        extractor.extract_batch(texts)
    assert refused.value.row == 1
    rows = list(extractor.extract_stream(texts))
    assert [row.error is None for row in rows] == [True, False, False, True]
    assert rows[2].error == "the text is empty"
    assert rows[0].lexicon_version == "base@1"
    assert next(iter(extractor.extract_stream([b"\xff"]))).error == "the text is not UTF-8 (byte 0)"


def test_a_requests_own_words_change_the_result(extractor):
    text = "近日，青石云科发布了新一代平台。"
    found = extractor.extract(text, lexicon={"青石云科": "company"})
    assert "青石云科" in [e.text for e in found if e.type == "company"]
    assert extractor.extract(text) != found


def test_words_are_obeyed_as_far_as_the_call_says(extractor, server):
    text, words = "我今天很高兴。", {"高兴": "company"}
    own = {"高兴": {"type": "company", "trust": "insist"}}

    async def with_the_twin(**options):
        async with AsyncExtractor(server.grpc_url) as twin:
            stream = [each async for each in twin.extract_stream([text], **options)]
            return [
                await twin.extract(text, **options),
                *await twin.extract_batch([text], **options),
                list(stream[0].entities),
                await twin.extract_document(text, **options),
            ]

    for lexicon, trust, expected in (
        (words, None, []),
        (words, "insist", ["高兴"]),
        (words, 30, ["高兴"]),
        (words, 0, []),
        (own, None, ["高兴"]),
        (own, "hint", ["高兴"]),
    ):
        options = {"lexicon": lexicon, "trust": trust}
        found = [
            extractor.extract(text, **options),
            *extractor.extract_batch([text], **options),
            list(next(extractor.extract_stream([text], **options)).entities),
            extractor.extract_document(text, **options),
            *asyncio.run(with_the_twin(**options)),
        ]
        assert [[entity.text for entity in each] for each in found] == [expected] * 8, options


@pytest.mark.parametrize("texts", [["甲"], ["甲", "乙"]])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"trust": "must"},
            "TRUST: the trust 'must' is not accepted; hint, prefer, insist or a number from 0 to 1000 is",
        ),
        ({"trust": float("nan")}, "TRUST: the trust 'nan' is not accepted"),
        ({"lexicon": {"甲": {"type": "name", "trust": -1}}}, "LEXICON: '甲': the trust -1 is not accepted"),
        ({"lexicon": {"甲": {"type": "name", "trust": float("inf")}}}, "LEXICON holds Infinity, which is not JSON"),
    ],
)
def test_a_trust_that_is_none_refuses_the_call(extractor, texts, options, message):
    with pytest.raises(InvalidRequest) as refused:
        extractor.extract_batch(texts, **options)
    assert message in str(refused.value)
    assert not isinstance(refused.value, InvalidText)


def test_threads_share_one_connection(server):
    texts = varied_texts(40)
    with CountingRelay(server.grpc_url) as relay, Extractor(relay.url) as extractor, ThreadPoolExecutor(8) as pool:
        found = [without_scores(entities) for entities in pool.map(extractor.extract, texts)]
        assert found == [without_scores(extractor.extract(text)) for text in texts]
        assert extractor.extract_batch(texts)
        assert relay.connections == 1


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_compression_makes_what_is_sent_smaller_and_changes_no_result(server, compression):
    texts = ["华为技术有限公司与复旦大学在上海签署协议。" * 10] * 64
    words = {f"青石云科{number}": "company" for number in range(50)}
    sent, found = {}, {}
    for used in (None, compression):
        with CountingRelay(server.grpc_url) as relay, Extractor(relay.url, compression=used) as extractor:
            found[used] = [without_scores(entities) for entities in extractor.extract_batch(texts, lexicon=words)]
            sent[used] = relay.sent
    assert found[compression] == found[None]
    assert sent[compression] < sent[None] / 10


def test_a_closed_client_opens_again(server, nobody):
    extractor = Extractor(server.grpc_url)
    assert extractor.is_ready()
    extractor.close()
    assert extractor.extract(TEXTS[0])
    extractor.close()
    assert not Extractor(server.grpc_url, model="nothing").is_ready()
    assert not Extractor(nobody).is_ready()


def test_closing_ends_what_is_in_flight():
    with RecordingServer() as silent, ThreadPoolExecutor(2) as pool:
        silent.gate.clear()
        extractor = Extractor(silent.url)
        calls = [pool.submit(extractor.extract, "甲"), pool.submit(extractor.extract_batch, ["甲"] * 200)]
        while len(silent.received) < 1 + extractor.concurrency:
            time.sleep(0.01)
        extractor.close()
        for call in calls:
            assert isinstance(call.exception(timeout=5), (ServerError, CancelledError))


def test_closing_ends_the_wait_for_the_next_attempt():
    with RecordingServer() as failing, ThreadPoolExecutor(1) as pool:
        failing.failures.append(grpc.StatusCode.UNAVAILABLE)
        extractor = Extractor(failing.url, retries=Retries(first_delay_s=20, longest_delay_s=20))
        call = pool.submit(extractor.extract, "甲")
        while not failing.received:
            time.sleep(0.01)
        extractor.close()
        assert isinstance(call.exception(timeout=5), ServerUnavailable)


def test_the_command_prints_a_json_line_a_document(server, tmp_path):
    (tmp_path / "a.txt").write_text(TEXTS[0], encoding="utf-8")
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    command = [sys.executable, "-c", "from distillex_client.cli import run; run()", "extract", "--url", server.grpc_url]
    done = subprocess.run(
        [*command, "a.txt", "bad.txt", "-"], cwd=tmp_path, input=TEXTS[1].encode(), capture_output=True
    )
    assert done.returncode == 1
    assert "bad.txt: not UTF-8 (byte 0)" in done.stderr.decode()
    records = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert [record["source"] for record in records] == ["a.txt", "-"]
    with Extractor(server.grpc_url) as extractor:
        assert [tuple(e.values())[:4] for e in records[0]["entities"]] == [
            dataclasses.astuple(e)[:4] for e in extractor.extract(TEXTS[0])
        ]


def test_the_command_takes_words_and_writes_a_page(server, tmp_path):
    (tmp_path / "a.txt").write_text("近日，青石云科发布了新一代平台。", encoding="utf-8")
    (tmp_path / "words.tsv").write_text("# new\n青石云科\tcompany\n", encoding="utf-8")
    command = [sys.executable, "-c", "from distillex_client.cli import run; run()", "extract", "--url", server.grpc_url]
    options = ["--lexicon", "words.tsv", "--format", "html", "--output", "page.html", "a.txt"]
    assert subprocess.run([*command, *options], cwd=tmp_path).returncode == 0
    assert 'data-type="company"' in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_command_obeys_words_as_far_as_it_is_told(server, tmp_path):
    (tmp_path / "a.txt").write_text("我今天很高兴。", encoding="utf-8")
    (tmp_path / "words.tsv").write_text("高兴\tcompany\n", encoding="utf-8")
    command = [sys.executable, "-c", "from distillex_client.cli import run; run()", "extract", "--url", server.grpc_url]
    for options, expected in ((), 0), (("--trust", "insist"), 1):
        done = subprocess.run(
            [*command, "--lexicon", "words.tsv", *options, "a.txt"], cwd=tmp_path, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        assert len(json.loads(done.stdout)["entities"]) == expected
