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
    *({"王大力": {"type": "name", "trust": "insist"}, "大力": "name"}, {"会议": {"type": "company", "trust": 7.5}}),
    {"青石云科": {"type": "game", "trust": "hint"}, "发展": {"type": "movie", "trust": "insist"}, "CEO": "position"},
)
BAD_WORDS = (b"{", b'{"a": "planet"}', b'{"\xff": null}', b'["a"]', b'{"a": {"type": "name", "trust": "must"}}')
TRUSTS = (b"", b"", b"hint", b"prefer", b"insist", b"insist", b"4", b"1e3", b"must", b"-1", b"\xff", b"9" * 1000)
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
    """Texts, words, names and trusts of 300 sentences and of some that are refused; the names are installed."""
    store = LexiconStore(lexicon_directory)
    doors = Lexicon.from_words({"青石云科": "company", "红楼梦": {"type": "book", "trust": "hint"}}, trust="insist")
    for name, lexicon in (("doors", doors), ("shops", Lexicon.from_words({"𠮷野家": "company"}))):
        store.install(name, lexicon.to_bytes(), lambda lexicon: None)
    generator = random.Random(7)
    texts = sentences(generator)
    assert len(texts) == SENTENCES
    for text in BAD_TEXTS * 3:
        texts.insert(generator.randrange(len(texts)), text)
    words = [
        generator.choice((b"", json.dumps(generator.choice(WORDS)).encode(), generator.choice((b"", *BAD_WORDS))))
        for _ in texts
    ]
    names = [generator.choice(NAMES).encode() for _ in texts]
    return texts, {"LEXICON": words, "LEXICON_NAME": names, "TRUST": [generator.choice(TRUSTS) for _ in texts]}


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


def in_process(pipeline, texts, optional):
    answers = pipeline.answer(
        texts, words=optional.get("LEXICON"), names=optional.get("LEXICON_NAME"), trusts=optional.get("TRUST")
    )
    found = []
    for entities, label, problem in zip(answers.entities, answers.labels, answers.refused, strict=True):
        found.append((json.loads(entities) if problem is None else {"error": problem.message}, label))
    return found


def served(server, seed, texts, optional):
    """The same rows in batches mixed otherwise, several of them at once."""
    found = [None] * len(texts)

    def send(batch):
        # An input that says nothing of any row is left out: such requests share batches with others.
        inputs = {name: [values[row] for row in batch] for name, values in optional.items()}
        answer = extract(client, [texts[row] for row in batch], **{n: rows for n, rows in inputs.items() if any(rows)})
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


@pytest.mark.parametrize(
    "given",
    [
        (),
        ("LEXICON",),
        ("LEXICON_NAME",),
        ("LEXICON", "LEXICON_NAME"),
        ("LEXICON", "TRUST"),
        ("LEXICON_NAME", "TRUST"),
        ("LEXICON", "LEXICON_NAME", "TRUST"),
    ],
    ids=lambda given: "+".join(given) or "texts alone",
)
def test_all_doors_give_the_same_answers(rows, server, ensemble, lexicon_directory, given):
    texts, optional = rows
    optional = {name: optional[name] for name in given}
    with_words, with_names = "LEXICON" in given, "LEXICON_NAME" in given
    pipeline = Pipeline(find_model("cluener"), LexiconStore(lexicon_directory))
    expected = in_process(pipeline, texts, optional)
    assert sum(isinstance(entities, list) and len(entities) > 0 for entities, _ in expected) > 80
    assert len({label for _, label in expected}) == (1 + with_words) * (1 + 2 * with_names)
    for entities, _ in expected:
        assert "the log says why" not in str(entities)
    if "TRUST" in given:
        unsaid = in_process(pipeline, texts, {name: optional[name] for name in given if name != "TRUST"})
        changed = [now for now, before in zip(expected, unsaid, strict=True) if now != before]
        assert len([row for row, _ in changed if isinstance(row, list)]) > 3
        assert len([row for row, _ in changed if isinstance(row, dict) and row["error"].startswith("TRUST: ")]) > 10
    for seed, server_ in enumerate((server, ensemble)):
        assert_same(served(server_, seed, texts, optional), expected)


def test_company_order_and_threads_change_no_answer(rows, lexicon_directory):
    """A row's numbers depend on its own text alone, bit by bit."""
    texts, optional = rows
    expected = in_process(Pipeline(find_model("cluener"), LexiconStore(lexicon_directory)), texts, optional)
    for options in (
        PipelineOptions(threads=2),
        PipelineOptions(call_cost_tokens=0),
        PipelineOptions(call_cost_tokens=10**6, most_tokens_per_run=2**15),
    ):
        pipeline = Pipeline(find_model("cluener"), LexiconStore(lexicon_directory), options)
        assert_same(in_process(pipeline, texts, optional), expected)
    alone = [
        in_process(pipeline, [text], {name: [values[row]] for name, values in optional.items()})[0]
        for row, text in enumerate(texts)
    ]
    assert_same(alone, expected)
