"""``import distillex``: extraction in this process."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import distillex
import numpy as np
import pytest
from distillex import lexicon_files
from distillex_matcher import Lexicon
from distillex_matcher.exported import EXPORTED_FILES
from distillex_matcher.lexicon_store import LexiconStore

ROOT = Path(__file__).resolve().parents[2]
TEXT = "🎉华为技术有限公司昨天与复旦大学在上海签署了一份合作协议书。"
NEW_WORD = "闪电鲸"
SENTENCE = f"昨天，{NEW_WORD}宣布在杭州设立研发中心。"


@pytest.fixture(scope="module")
def tagger():
    return distillex.load("cluener")


@pytest.fixture
def lexicons(tmp_path):
    """A directory of lexicons with one of its own, ``whales``."""
    directory = tmp_path / "lexicons"
    shutil.copytree(ROOT / "lexicons" / "base", directory / "base")
    push(directory, "whales", {NEW_WORD: "company"})
    return directory


def push(directory, name, words):
    LexiconStore(directory).install(name, Lexicon.from_words(words).to_bytes(), lambda _: None)


def found(entities):
    return {(entity.text, entity.type) for entity in entities}


def test_offsets_are_code_points_of_the_callers_text(tagger):
    entities = tagger.extract(TEXT)
    assert ("华为技术有限公司", "company") in found(entities)
    assert all(TEXT[entity.start : entity.end] == entity.text for entity in entities)
    assert tagger.extract(TEXT.encode()) == entities


def test_words_of_a_call_change_that_call_alone(tagger):
    assert (NEW_WORD, "company") not in found(tagger.extract(SENTENCE))
    assert (NEW_WORD, "company") in found(tagger.extract(SENTENCE, lexicon={NEW_WORD: "company"}))
    assert (NEW_WORD, "company") not in found(tagger.extract(SENTENCE))
    hidden = tagger.with_lexicon({NEW_WORD: "company"}).extract(SENTENCE, lexicon={NEW_WORD: None})
    assert (NEW_WORD, "company") not in found(hidden)


def test_a_batch_gives_what_each_text_gives_alone(tagger):
    texts = [TEXT[:length] for length in range(1, len(TEXT) + 1)] + [TEXT * 15, "复旦大学", SENTENCE * 20]
    alone = [tagger.extract(text) for text in texts]
    assert tagger.extract_batch(texts) == alone
    assert distillex.load("cluener", threads=1).extract_batch(texts) == alone
    assert tagger.extract_batch([]) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty"),
        ("长" * 511, "the text has 511 characters; at most 510"),
        ("a\0b", "the text holds a NUL character at position 1"),
        ("\ud800", "the text is not UTF-8"),
        (b"\xff", "the text is not UTF-8"),
    ],
)
def test_a_bad_text_is_refused_and_hurts_no_other(tagger, text, message):
    with pytest.raises(distillex.InvalidText, match=message):
        tagger.extract(text)
    with pytest.raises(distillex.InvalidText, match=f"text 1: {message}") as raised:
        tagger.extract_batch(["复旦大学", text, "复旦大学"])
    assert raised.value.row == 1
    first, bad, last = tagger.extract_stream(["复旦大学", text, "复旦大学"])
    assert first == last
    assert first.entities
    assert bad.entities == ()
    assert message in bad.error


def test_what_is_no_text_or_lexicon_is_a_type_error(tagger):
    for call in (
        lambda: tagger.extract(7),
        lambda: tagger.extract_batch("one text"),
        lambda: tagger.extract("text", lexicon=["word"]),
        lambda: tagger.extract("text", lexicon_name=7),
        lambda: tagger.with_lexicon(7),
        lambda: tagger.extract("text", trust=[1]),
        lambda: tagger.with_lexicon({"word": "name"}, trust=True),
        lambda: tagger.extract("text", lexicon={"word": {"type": "name", "level": "hint"}}),
    ):
        with pytest.raises(TypeError):
            call()


def test_lexicons_that_cannot_be_used_are_named(lexicons, tmp_path):
    tagger = distillex.load("cluener", lexicon_directory=lexicons)
    for call, message in (
        (lambda: tagger.extract("text", lexicon={"word": "planet"}), "unknown lexicon type 'planet'; known types: "),
        (lambda: tagger.extract("text", lexicon_name="planets"), "no lexicon 'planets' is installed"),
        (lambda: tagger.extract("text", lexicon_name="../etc"), "is not a lexicon name"),
        (
            lambda: tagger.extract("text", trust="must"),
            "TRUST: the trust 'must' is not accepted; hint, prefer, insist or",
        ),
        (lambda: tagger.extract_batch(["text"] * 2, trust=-1), r"TRUST: the trust '-1\.0' is not accepted"),
        (
            lambda: tagger.extract("text", lexicon={"word": {"type": "name", "trust": 1001}}),
            "LEXICON: 'word': the trust 1001 is not accepted",
        ),
        (lambda: tagger.with_lexicon({"word": "name"}, trust="must"), "lexicon: the trust 'must' is not accepted"),
        (lambda: tagger.with_lexicon("whales", trust="must"), "lexicon: the trust 'must' is not accepted"),
        (lambda: tagger.with_lexicon("planets"), "no lexicon 'planets' is installed"),
        (lambda: tagger.with_lexicon(tmp_path / "planets.tsv"), "planets.tsv"),
        (lambda: tagger.with_lexicon({"word": "planet"}), "unknown lexicon type 'planet'"),
    ):
        with pytest.raises(distillex.InvalidRequest, match=message):
            call()


def test_a_named_lexicon_of_types_that_the_model_does_not_know_is_refused_when_it_is_attached(lexicons):
    push(lexicons, "planets", {NEW_WORD: "planet"})
    tagger = distillex.load("cluener", lexicon_directory=lexicons)
    with pytest.raises(distillex.InvalidRequest, match="planets@1: unknown lexicon type 'planet'"):
        tagger.with_lexicon("planets")
    with pytest.raises(distillex.InvalidRequest, match="planets@1: unknown lexicon type 'planet'"):
        list(tagger.extract_stream([SENTENCE], lexicon_name="planets"))


def test_a_name_is_that_of_a_lexicon_whatever_lies_where_the_process_works(lexicons, tmp_path, monkeypatch):
    (tmp_path / "whales").write_text(f"{NEW_WORD}\tname\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    tagger = distillex.load("cluener", lexicon_directory=lexicons)
    for given, label in (("whales", "base@1+whales@1"), ("./whales", "base@1+whales")):
        (extraction,) = tagger.with_lexicon(given).extract_stream([SENTENCE])
        assert extraction.lexicon_version == label


def test_a_model_that_was_exported_again_is_opened_again(tmp_path):
    def put(name):
        for file in EXPORTED_FILES:
            shutil.copy(ROOT / "models" / f"student-{name}" / file, tmp_path / "new")
            (tmp_path / "new").replace(tmp_path / "model" / file)
        return distillex.load(tmp_path / "model", threads=1)

    (tmp_path / "model").mkdir()
    before = put("cluener")
    assert "company" in before.types
    after = put("msra")
    assert "company" not in after.types
    # What is open goes on as it was, with what is made of it.
    text = "华为技术有限公司"
    assert found(before.with_lexicon({NEW_WORD: "company"}).extract(text)) == {(text, "company")}


def test_lexicons_come_by_name_by_file_and_as_words(lexicons, tmp_path):
    tagger = distillex.load("cluener", lexicon_directory=lexicons)
    listed, compiled = tmp_path / "list.tsv", tmp_path / "compiled.lex"
    listed.write_text(f"{NEW_WORD}\tcompany\n", encoding="utf-8")
    Lexicon.from_words({NEW_WORD: "company"}).save(compiled)
    for given, label in (
        ("whales", "base@1+whales@1"),
        (listed, "base@1+list"),
        (str(listed), "base@1+list"),
        (compiled, "base@1+compiled"),
        ({NEW_WORD: "company"}, "base@1+words"),
    ):
        with_words = tagger.with_lexicon(given)
        (extraction,) = with_words.extract_stream([SENTENCE])
        assert (NEW_WORD, "company") in found(extraction.entities), given
        assert extraction.lexicon_version == label
    (extraction,) = tagger.extract_stream([SENTENCE], lexicon={"杭州": "address"}, lexicon_name="whales")
    assert extraction.lexicon_version == "base@1+whales@1+request"


def test_a_word_is_obeyed_as_far_as_itself_the_call_or_its_lexicon_says(lexicons, tmp_path):
    """In this order; the sentence is one in which the word alone does not convince the model."""
    tagger = distillex.load("cluener", lexicon_directory=lexicons)
    text, word = "我今天很高兴。", "高兴"

    def is_found(tagger, **options):
        return (word, "company") in found(tagger.extract(text, **options))

    def of(trust):
        return {word: {"type": "company", "trust": trust}}

    plain = {word: "company"}
    assert [is_found(tagger, lexicon=plain, trust=trust) for trust in ("hint", 0, "insist", 30)] == [False] * 2 + [
        True
    ] * 2
    assert not is_found(tagger, lexicon=plain)
    assert is_found(tagger, lexicon=of("insist"), trust="hint")
    assert not is_found(tagger, lexicon=of("hint"), trust="insist")
    assert is_found(tagger, lexicon=of(None), trust="insist")
    listed, compiled = tmp_path / "list.tsv", tmp_path / "compiled.lex"
    listed.write_text(f"{word}\tcompany\n", encoding="utf-8")
    Lexicon.from_words(plain, trust="hint").save(compiled)
    push(lexicons, "seasons", plain)
    for given in (listed, compiled, "seasons", plain):
        assert not is_found(tagger.with_lexicon(given))
        insisting = tagger.with_lexicon(given, trust="insist")
        assert is_found(insisting), given
        assert is_found(pickle.loads(pickle.dumps(insisting))), given
        assert not is_found(insisting, trust="hint"), given
        assert is_found(tagger.with_lexicon(given), trust="insist"), given
    assert not is_found(tagger.with_lexicon(of("hint"), trust="insist"))
    for number in (np.int64(30), np.float32(30)):
        assert is_found(tagger, lexicon=plain, trust=number)
        assert is_found(tagger, lexicon=of(number))
        assert is_found(tagger.with_lexicon(plain, trust=number))
    assert [found(each) for each in tagger.extract_batch([text, text], lexicon=plain, trust="insist")] == [
        {(word, "company")}
    ] * 2
    assert (word, "company") in found(tagger.extract_document(text * 9, lexicon=plain, trust="insist"))
    assert f">{word}<" in tagger.render(text, lexicon=plain, trust="insist")
    assert "trust='insist'" in repr(tagger.with_lexicon("seasons", trust="insist"))


def test_a_version_that_is_installed_meanwhile_is_trusted_as_the_one_before(lexicons, monkeypatch):
    made = []
    make = lexicon_files.with_trust
    monkeypatch.setattr("distillex.tagger.with_trust", lambda *given: made.append(given) or make(*given))
    push(lexicons, "seasons", {"无关": "company"})
    tagger = distillex.load("cluener", lexicon_directory=lexicons).with_lexicon("seasons", trust="insist")
    for _ in range(3):
        assert not tagger.extract("我今天很高兴。")
    push(lexicons, "seasons", {"高兴": "company"})
    for _ in range(3):
        assert found(tagger.extract("我今天很高兴。")) == {("高兴", "company")}
    assert len(made) == 2


def test_a_version_that_is_installed_meanwhile_is_used_from_the_next_call_on(lexicons):
    tagger = distillex.load("cluener", lexicon_directory=lexicons).with_lexicon("whales")
    assert (NEW_WORD, "company") in found(tagger.extract(SENTENCE))
    push(lexicons, "whales", {NEW_WORD: None})
    (extraction,) = tagger.extract_stream([SENTENCE])
    assert (NEW_WORD, "company") not in found(extraction.entities)
    assert extraction.lexicon_version == "base@1+whales@2"


def test_pinned_versions_stay_whatever_is_installed(lexicons):
    push(lexicons, "whales", {NEW_WORD: None})
    pinned = distillex.load("cluener", lexicon_directory=lexicons, lexicon_versions={"whales": 1}, types=["company"])
    for tagger in (pinned, pickle.loads(pickle.dumps(pinned))):
        (extraction,) = tagger.extract_stream([SENTENCE], lexicon_name="whales")
        assert (NEW_WORD, "company") in found(extraction.entities)
        assert extraction.lexicon_version == "base@1+whales@1"
    with pytest.raises(distillex.InvalidRequest, match="whales"):
        distillex.load("cluener", lexicon_directory=lexicons, lexicon_versions={"whales": 7}).with_lexicon("whales")


def test_types_that_the_model_does_not_find_are_refused():
    with pytest.raises(ValueError, match=r"types Company: the model finds none; its types: address, .*company"):
        distillex.load("cluener", types=["Company"])


def test_the_base_lexicon_by_name_is_no_overlay(tagger):
    (extraction,) = tagger.extract_stream([SENTENCE], lexicon_name="base")
    assert extraction.lexicon_version == "base@1"
    assert tagger.with_lexicon("base").extract(SENTENCE) == tagger.extract(SENTENCE)


def test_scores_and_types_select_what_is_returned():
    everything = distillex.load("cluener").extract(TEXT)
    assert len({entity.type for entity in everything}) > 1
    assert distillex.load("cluener", types=["company"]).extract(TEXT) == [e for e in everything if e.type == "company"]
    assert distillex.load("cluener", min_score=0.95).extract(TEXT) == [e for e in everything if e.score >= 0.95]
    for wrong in ({"min_score": 2}, {"types": []}, {"threads": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            distillex.load("cluener", **wrong)


def test_a_document_of_any_length_and_its_page(tagger):
    document = f"{TEXT}\n\n{'没有句号的话' * 200}{SENTENCE}"
    entities = tagger.extract_document(document, lexicon={NEW_WORD: "company"})
    assert any(entity.start > 1000 and entity.text == NEW_WORD for entity in entities)
    assert all(document[entity.start : entity.end] == entity.text for entity in entities)
    page = tagger.render(document, lexicon={NEW_WORD: "company"}, title="Whales")
    assert page.count("data-entity=") >= len(entities)
    assert "<title>Whales</title>" in page
    assert tagger.render(document.encode(), lexicon={NEW_WORD: "company"}, title="Whales") == page


def test_several_threads_use_one_tagger(tagger):
    texts = [TEXT[start:] for start in range(20)]
    expected = [tagger.extract(text, lexicon={NEW_WORD: "company"}) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(lambda text: tagger.extract(text, lexicon={NEW_WORD: "company"}), texts)) == expected
            assert list(pool.map(tagger.extract_batch, [texts] * 8)) == [tagger.extract_batch(texts)] * 8


def test_it_is_pickled_by_path_with_its_lexicons(lexicons, tmp_path):
    listed = tmp_path / "list.tsv"
    listed.write_text(f"{NEW_WORD}\tcompany\n", encoding="utf-8")
    tagger = distillex.load("cluener", lexicon_directory=lexicons, types=["company"]).with_lexicon(listed)
    content = pickle.dumps(tagger)
    assert len(content) < 2000
    assert pickle.loads(content).extract(SENTENCE) == tagger.extract(SENTENCE)
    assert repr(pickle.loads(content)) == repr(tagger)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_worker_processes_extract(tagger, method):
    texts = [TEXT, SENTENCE, *(TEXT[start:] for start in range(1, 20))]
    expected = tagger.extract_batch(texts)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(tagger.with_lexicon({"字": "name"}).extract, texts)
        assert pool.map(tagger.extract_batch, [texts] * 4) == [expected] * 4


def test_a_process_that_was_forked_while_others_extract_extracts(tagger):
    texts = [TEXT * 3, SENTENCE] * 40
    expected = tagger.extract_batch(texts)
    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(tagger.extract_batch, texts) for _ in range(6)]
        for _ in range(3):
            if (child := os.fork()) == 0:
                os._exit(0 if tagger.extract_batch(texts) == expected else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert all(each.result() == expected for each in busy)


def test_no_framework_server_or_transport_is_imported():
    code = """
        import sys, distillex
        distillex.load("cluener").extract_document("复旦大学在上海。")
        unwanted = {"torch", "transformers", "tritonclient", "grpc", "pytriton", "typer", "distillex_serving"}
        print(sorted(unwanted & {name.partition(".")[0] for name in sys.modules}))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
