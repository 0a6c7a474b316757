"""The client against the real server."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys

import pytest

pytest.importorskip("tritonclient.grpc")
from distillex_client import (
    DeadlineExceeded,
    Extractor,
    InvalidRequest,
    InvalidText,
    ModelNotFound,
    Retries,
    ServerUnavailable,
)
from distillex_serving.preconditions import free_port

pytestmark = pytest.mark.server

TEXTS = [
    "华为技术有限公司与复旦大学在上海签署协议。",
    "😀👨‍👩‍👧张伟在ＩＢＭ中国研究院工作\t\n",
    "𠮷野家的e\u0301é董事长李强访问北京大学",
]
ONCE = Retries(attempts=1)


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
    spans = [[(e.start, e.end, e.type, e.text) for e in found] for found in extractor.extract_batch(texts)]
    alone = {text: [(e.start, e.end, e.type, e.text) for e in extractor.extract(text)] for text in set(texts)}
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


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("", {}, InvalidText, "^the text is empty$"),
        ("甲" * 511, {}, InvalidText, "at most 510 are accepted"),
        (b"\xff", {}, InvalidText, "not UTF-8"),
        ("\ud800", {}, InvalidText, "not UTF-8"),
        ("甲", {"lexicon": {"甲": "planet"}}, InvalidRequest, "unknown lexicon type 'planet'; known types: .*company"),
        ("甲", {"lexicon_name": "nowhere"}, InvalidRequest, "no lexicon 'nowhere' is installed"),
    ],
)
def test_a_bad_request_raises_its_own_error(extractor, text, options, error, message):
    with pytest.raises(error, match=message) as raised:
        extractor.extract(text, **options)
    assert raised.value.__cause__ is not None


def test_a_wrong_model_is_not_found(server):
    with Extractor(server.grpc_url, model="nothing") as extractor, pytest.raises(ModelNotFound, match="nothing"):
        extractor.extract("甲")


def test_an_expired_deadline_is_told(server):
    with Extractor(server.grpc_url, timeout_s=0.0001) as extractor, pytest.raises(DeadlineExceeded):
        extractor.extract("甲")


def test_a_server_that_is_not_there_is_unavailable_after_the_retries():
    retries = Retries(attempts=3, first_delay_s=0.01)
    with Extractor(f"127.0.0.1:{free_port()}", retries=retries, timeout_s=5) as extractor:
        assert not extractor.is_ready()
        with pytest.raises(ServerUnavailable):
            extractor.extract("甲")


def test_a_long_document_has_exact_offsets_whatever_the_window(extractor):
    document = "".join(
        f"第{i}条：华为技术有限公司的{name}在北京大学演讲。\n" for i, name in enumerate(["张伟", "李娜"] * 300)
    )
    results = [extractor.extract_document(document, window=window) for window in (128, 256, 510)]
    assert len(results[0]) > 1000
    assert all(document[e.start : e.end] == e.text for e in results[0])
    plain = [[(e.start, e.end, e.type) for e in result] for result in results]
    assert plain[0] == plain[1] == plain[2]


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


def test_importing_the_client_brings_neither_torch_nor_grpc():
    code = "import sys, distillex_client; print([m for m in ('torch', 'grpc', 'onnxruntime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
