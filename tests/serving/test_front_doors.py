"""One pipeline behind three doors: in process, fused and as an ensemble, the same texts get the same answers."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

triton = pytest.importorskip("tritonclient.grpc")
from distillex.models import find_model  # noqa: E402
from distillex.pipeline import Pipeline, PipelineOptions  # noqa: E402
from distillex_matcher import Lexicon  # noqa: E402
from distillex_matcher.lexicon_store import LexiconStore  # noqa: E402
from plain_triton import extract  # noqa: E402
from server_under_test import ROOT  # noqa: E402

pytestmark = pytest.mark.server

SENTENCES = 300
LONGEST = 510
PIECES = (
    *("张三毕业于北京大学，", "青石云科", "王大力", "中国人民银行", "在上海的腾讯公司", "《红楼梦》", "第七十三届"),
    *("iPhone 15 Pro", "ＩＢＭ", "CEO", "İstanbul", "ẞ", "Νίκος", "Путин", "株式会社トヨタ", "서울"),
    *(" ", "\t", "\n", "\r\n", "\u3000", "\u00a0", "2023年11月", "１２３", "138-0013-8000", "￥5,000.00"),
    *("😀", "👨‍👩‍👧", "🎓", "e\u0301", "𠮷野家", "𪚥", "\ufeff", "\u202e", "\u200f", "。", "……", "——", "“", "”"),
)
BAD_TEXTS = (b"", "长".encode() * 511, b"\xe5\xbc\xa0\xff", b"a\xed\xa0\x80", b"a\0b", b"\xff" * 600)
WORDS = (
    *({"青石云科": "company"}, {"王大力": None, "大力": "name"}, {"北京大学": None}, {"iphone": "scene", "pro": "n"}),
    *({"😀": "game", "𠮷野家": "company"}, {"e\u0301": "book"}, {}),
)
BAD_WORDS = (b"{", b'{"a": "planet"}', b'{"\xff": null}', b'["a"]')
NAMES = ("", "", "doors", "shops", "base", "unknown", "Not A Name")


def sentences(generator):
    """News, and generated texts of all lengths."""
    news = (ROOT / "examples" / "news.txt").read_text(encoding="utf-8")
    found = [line.strip()[:LONGEST] for line in news.splitlines() if line.strip()][: SENTENCES // 3]
    lengths = [1, 2, 3, LONGEST - 1, LONGEST]
    lengths += [generator.randint(1, LONGEST) for _ in range(SENTENCES - len(found) - len(lengths))]
    for length in lengths:
        text = ""
        while len(text) < length:
            text += generator.choice((*PIECES, news[(at := generator.randrange(len(news))) : at + 20]))
        found.append(text[:length])
    generator.shuffle(found)
    return [text.encode() for text in found]


@pytest.fixture(scope="module")
def rows(lexicon_directory):
    """Texts, words and names of 300 sentences and of some that are refused, mixed; the names are installed."""
    store = LexiconStore(lexicon_directory)
    for name, words in (("doors", {"青石云科": "company", "红楼梦": "book"}), ("shops", {"𠮷野家": "company"})):
        store.install(name, Lexicon.from_words(words).to_bytes(), lambda lexicon: None)
    generator = random.Random(7)
    texts = sentences(generator)
    assert len(texts) == SENTENCES
    for text in BAD_TEXTS * 3:
        texts.insert(generator.randrange(len(texts)), text)
    words = [
        generator.choice((b"", json.dumps(generator.choice(WORDS)).encode(), generator.choice((b"", *BAD_WORDS))))
        for _ in texts
    ]
    return texts, words, [generator.choice(NAMES).encode() for _ in texts]


def batches(generator, rows):
    """Row numbers, divided into batches of 2 to 64: a request of one bad row is refused as a whole."""
    order = list(range(rows))
    generator.shuffle(order)
    while order:
        size = generator.choice((2, 3, 7, 20, 64))
        if len(order) - size == 1:
            size += 1 if size < 64 else -1
        yield order[:size]
        order = order[size:]


def in_process(pipeline, texts, words, names):
    answers = pipeline.answer(texts, words=words, names=names)
    found = []
    for entities, label, problem in zip(answers.entities, answers.labels, answers.refused, strict=True):
        found.append((json.loads(entities) if problem is None else {"error": problem}, label))
    return found


def served(server, seed, texts, words, names):
    """The same rows in batches mixed otherwise, several of them at once."""
    found = [None] * len(texts)

    def send(batch):
        optional = {
            name: [values[row] for row in batch]
            for name, values in (("LEXICON", words), ("LEXICON_NAME", names))
            if values is not None
        }
        answer = extract(client, [texts[row] for row in batch], **optional)
        for row, entities, label in zip(batch, answer.rows, answer.versions, strict=True):
            found[row] = (entities, label)

    with triton.InferenceServerClient(server.grpc_url) as client, ThreadPoolExecutor(4) as pool:
        list(pool.map(send, batches(random.Random(seed), len(texts))))
    return found


def assert_same(found, expected):
    for (entities, label), (entities_expected, label_expected) in zip(found, expected, strict=True):
        assert label == label_expected
        if isinstance(entities_expected, dict):
            assert entities == entities_expected
            continue
        scores = [entity.pop("score") for entity in entities]
        assert scores == pytest.approx([entity["score"] for entity in entities_expected], abs=1e-6)
        assert entities == [
            {field: value for field, value in entity.items() if field != "score"} for entity in entities_expected
        ]


@pytest.mark.parametrize("with_words", [False, True], ids=["", "words"])
@pytest.mark.parametrize("with_names", [False, True], ids=["", "names"])
def test_all_doors_give_the_same_answers(rows, server, ensemble, lexicon_directory, with_words, with_names):
    texts, words, names = rows
    words, names = words if with_words else None, names if with_names else None
    pipeline = Pipeline(find_model("cluener"), LexiconStore(lexicon_directory))
    expected = in_process(pipeline, texts, words, names)
    assert sum(isinstance(entities, list) and len(entities) > 0 for entities, _ in expected) > 100
    assert len({label for _, label in expected}) == (1 + with_words) * (1 + 2 * with_names)
    for entities, _ in expected:
        assert "the log says why" not in str(entities)
    for seed, server_ in enumerate((server, ensemble)):
        assert_same(served(server_, seed, texts, words, names), expected)


def test_company_order_and_threads_change_no_answer(rows, lexicon_directory):
    """A row's numbers depend on its own text alone, bit by bit."""
    texts, words, names = rows
    expected = in_process(Pipeline(find_model("cluener"), LexiconStore(lexicon_directory)), texts, words, names)
    for options in (
        PipelineOptions(threads=2),
        PipelineOptions(call_cost_tokens=0),
        PipelineOptions(call_cost_tokens=10**6, most_tokens_per_run=2**15),
    ):
        pipeline = Pipeline(find_model("cluener"), LexiconStore(lexicon_directory), options)
        assert_same(in_process(pipeline, texts, words, names), expected)
    alone = [in_process(pipeline, [t], [w], [n])[0] for t, w, n in zip(texts, words, names, strict=True)]
    assert_same(alone, expected)
