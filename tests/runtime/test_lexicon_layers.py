"""Lexicons change under a pipeline that runs: new ones are used from the next text on, broken ones never."""

from __future__ import annotations

import gc
import logging
import shutil
import threading
import weakref

import pytest
from distillex.lexicon_layers import LexiconLayers
from distillex.lexicon_rights import LexiconRights
from distillex.locations import shipped_lexicons
from distillex.models import find_model
from distillex.pipeline import Pipeline
from distillex_matcher import Lexicon
from distillex_matcher.exported import NETWORK_FILE, ExportedFiles
from distillex_matcher.lexicon_store import LexiconStore

TEXT = "近日，青石云科发布了新一代平台。".encode()


def directory_of(folder):
    shutil.copytree(shipped_lexicons() / "base", folder / "base")
    return folder


@pytest.fixture
def store(tmp_path):
    return LexiconStore(directory_of(tmp_path / "lexicons"))


@pytest.fixture
def pipeline(store):
    return Pipeline(find_model("cluener"), LexiconStore(store.directory))


def install(store, name, **words):
    return store.install(name, Lexicon.from_words(words).to_bytes(), lambda lexicon: None, replace_base=True)


def label(pipeline, name=""):
    answers = pipeline.answer([TEXT], names=[name.encode()])
    (problem,) = answers.refused
    return answers.labels[0] if problem is None else problem.message


def test_a_new_base_is_used_from_the_next_text_on_and_the_old_one_after_a_rollback(pipeline, store):
    before = pipeline.answer([TEXT])
    install(store, "base", 青石云科="company")
    after = pipeline.answer([TEXT])
    assert (before.labels, after.labels) == (["base@1"], ["base@2"])
    assert before.entities != after.entities
    store.rollback("base")
    assert pipeline.answer([TEXT]) == before


@pytest.mark.parametrize("content", [b"9\n", b"", b"two\n"])
def test_a_broken_base_is_never_used_and_said_once(pipeline, store, caplog, content):
    (store.directory / "base" / "CURRENT").write_bytes(content)
    with caplog.at_level(logging.ERROR):
        assert [label(pipeline) for _ in range(3)] == ["base@1"] * 3
    assert len([record for record in caplog.records if "base stays at base@1" in record.message]) == 1
    install(store, "base", 青石云科="company")
    assert label(pipeline) == "base@2"


def test_a_base_that_is_removed_stays(pipeline, store):
    shutil.rmtree(store.directory)
    assert label(pipeline) == "base@1"


def test_a_base_of_types_that_the_model_does_not_know_is_never_used(pipeline, store, caplog):
    install(store, "base", 青石云科="planet")
    with caplog.at_level(logging.ERROR):
        assert label(pipeline) == "base@1"
    assert "planet" in caplog.text


def test_a_named_lexicon_that_is_removed_is_known_no_longer_and_may_come_back(pipeline, store):
    install(store, "shops", 青石云科="company")
    assert label(pipeline, "shops") == "base@1+shops@1"
    shutil.rmtree(store.directory / "shops")
    assert label(pipeline, "shops") == "LEXICON_NAME: no lexicon 'shops' is installed"
    install(store, "shops", 无关词语="company")
    assert label(pipeline, "shops") == "base@1+shops@1"
    assert pipeline.answer([TEXT], names=[b"shops"]).entities == pipeline.answer([TEXT]).entities


def test_a_removed_lexicon_is_refused_and_let_go_of_without_being_asked_for(pipeline, store):
    for name in ("shops", "films"):
        install(store, name, 青石云科="company")
        assert label(pipeline, name) == f"base@1+{name}@1"
    held = [weakref.ref(pipeline.lexicons.named(name).lexicon) for name in ("shops", "films")]
    store.remove("shops")
    pipeline.lexicons.let_go_of_removed()
    gc.collect()
    assert [each() is None for each in held] == [True, False]
    assert label(pipeline, "shops") == "LEXICON_NAME: no lexicon 'shops' is installed"
    install(store, "shops", 无关词语="company")
    assert label(pipeline, "shops") == "base@1+shops@2"


def test_a_named_lexicon_that_breaks_stays_at_a_version_that_can_be_read_or_is_refused(pipeline, store, caplog):
    install(store, "shops", 青石云科="company")
    install(store, "later", 青石云科="company")
    install(store, "never", 青石云科="company")
    (store.directory / "never" / "1.lex").write_bytes(b"")
    assert label(pipeline, "shops") == "base@1+shops@1"
    for name in ("shops", "later", "never"):
        (store.directory / name / "CURRENT").write_bytes(b"9\n")
    with caplog.at_level(logging.ERROR):
        assert label(pipeline, "shops") == "base@1+shops@1"
        assert label(pipeline, "later") == "base@1+later@1"
        assert label(pipeline, "never") == "LEXICON_NAME: the lexicon 'never' cannot be read; the log says why"
    assert "the lexicon never stays at nothing: lexicon never@9" in caplog.text


def test_a_named_lexicon_of_types_that_the_model_does_not_know_refuses_its_rows_alone(pipeline, store):
    install(store, "shops", 青石云科="planet")
    answers = pipeline.answer([TEXT, TEXT], names=[b"shops", b""])
    assert answers.refused[1] is None
    # As a request's own words of such a type: a client tells the caller that the lexicon is wrong, not the text.
    assert answers.refused[0].message.startswith("LEXICON_NAME: shops@1: unknown lexicon type 'planet'; known types: ")


def test_threads_that_extract_while_lexicons_change_see_whole_versions(pipeline, store):
    for words in ({"青石云科": "company"}, {"无关词语": "company"}):
        install(store, "shops", **words)
    expected = {}
    for version in (1, 2):
        store.rollback("shops", version)
        expected[f"base@1+shops@{version}"] = pipeline.answer([TEXT], names=[b"shops"]).entities[0]
    assert len(set(expected.values())) == 2
    wrong, stop = [], threading.Event()

    def extract():
        while not stop.is_set():
            answers = pipeline.answer([TEXT] * 4, names=[b"shops"] * 4)
            if answers.refused != [None] * 4 or any(
                entities != expected[seen] for entities, seen in zip(answers.entities, answers.labels, strict=True)
            ):
                wrong.append(answers)

    threads = [threading.Thread(target=extract) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(60):
        store.rollback("shops", 1 + turn % 2)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


UNCONVINCING = "我今天很高兴。".encode()
OWN = '{"高兴": "company"}'.encode()


def test_a_bad_trust_refuses_its_row_alone(pipeline):
    trusts = [b"insist", b"must", b"", b"hint", b"30", b"\xff", "长".encode() * 300, b"0" * 300]
    rows = len(trusts)
    answers = pipeline.answer([UNCONVINCING] * rows, words=[OWN] * rows, trusts=trusts)
    accepted = " is not accepted; hint, prefer, insist or a number from 0 to 1000 is"
    assert {problem.reason for problem in answers.refused if problem is not None} == {"trust"}
    assert [problem and problem.message for problem in answers.refused] == [
        None,
        f"TRUST: the trust 'must'{accepted}",
        None,
        None,
        None,
        f"TRUST: the trust '\ufffd'{accepted}",
        f"TRUST: the trust '{'长' * 40}…'{accepted}",
        f"TRUST: the trust '{'0' * 40}…'{accepted}",
    ]
    assert [entities != b"[]" for entities in answers.entities] == [
        True,
        False,
        False,
        False,
        True,
        False,
        False,
        False,
    ]
    assert set(answers.labels) == {"base@1+request", "base@1"}
    alone = [pipeline.answer([UNCONVINCING], words=[OWN], trusts=[trust]).entities[0] for trust in trusts]
    assert alone == answers.entities


def test_a_request_trusts_a_named_lexicon_otherwise_than_that_says_itself(pipeline, store):
    store.install("shops", Lexicon.from_words({"高兴": "company"}, trust="insist").to_bytes(), lambda lexicon: None)
    answers = pipeline.answer([UNCONVINCING] * 3, names=[b"shops"] * 3, trusts=[b"", b"hint", b"insist"])
    assert [entities != b"[]" for entities in answers.entities] == [True, False, True]


def test_trust_without_words_changes_nothing(pipeline):
    plain = pipeline.answer([TEXT, UNCONVINCING])
    assert pipeline.answer([TEXT, UNCONVINCING], trusts=[b"insist", b"1000"]) == plain


def test_the_types_of_a_named_lexicon_are_looked_at_once_a_version(store, monkeypatch):
    layers = LexiconLayers(ExportedFiles.beside(find_model("cluener") / NETWORK_FILE).layout, store)
    looked_at = []
    check = layers.check_types
    monkeypatch.setattr(layers, "check_types", lambda lexicon: looked_at.append(lexicon) or check(lexicon))
    for _ in range(2):
        install(store, "shops", 青石云科="company")
        for _ in range(5):
            assert layers.over("base@1", 3, [b"shops"] * 3, None).refused == [None] * 3
    assert len(looked_at) == 2
    install(store, "shops", 青石云科="planet")
    assert layers.over("base@1", 1, [b"shops"], None).refused[0].message.startswith("LEXICON_NAME: shops@3: unknown")


def test_names_that_a_caller_may_not_use_cost_one_look_at_the_directory_a_batch(store, monkeypatch):
    install(store, "acme-terms", 青石云科="company")
    layers = LexiconLayers(ExportedFiles.beside(find_model("cluener") / NETWORK_FILE).layout, store)
    looks, names = [], store.names
    monkeypatch.setattr(store, "names", lambda: looks.append("") or names())
    rights = LexiconRights(("acme-*",))
    foreign = [f"globex-{i}".encode() for i in range(32)]
    absent = [f"acme-{i}".encode() for i in range(32)]
    found = layers.over("base@1", 64, [*foreign, *absent], None, rights=[rights] * 64)
    assert (
        found.refused[0].message
        == "LEXICON_NAME: no lexicon 'globex-0' is there for this caller; there are: acme-terms"
    )
    assert (
        found.refused[63].message
        == "LEXICON_NAME: no lexicon 'acme-31' is there for this caller; there are: acme-terms"
    )
    assert len(looks) == 1
    install(store, "acme-more", 青石云科="company")
    found = layers.over("base@1", 1, [b"other"], None, rights=[rights])
    assert found.refused[0].message.endswith("there are: acme-more, acme-terms")


def test_what_the_store_lets_go_is_let_go(store):
    for name in ("one", "two", "three"):
        install(store, name, 青石云科="company")
    few = LexiconStore(store.directory, most_bytes=1)
    layers = LexiconLayers(ExportedFiles.beside(find_model("cluener") / NETWORK_FILE).layout, few)
    for name in ("one", "two", "three"):
        assert layers.named(name).label == f"{name}@1"
    assert layers._checked.keys() == {"three"}
    assert layers.named("one").label == "one@1"
