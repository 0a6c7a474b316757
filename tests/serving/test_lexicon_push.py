"""Named lexicons on a running server: pushed, listed, rolled back, under load, and refused."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("tritonclient.grpc")
from distillex_matcher import Lexicon, LexiconError
from distillex_matcher.lexicon_store import LexiconStore, UnknownLexiconError
from distillex_serving.lexicon_client import LexiconServerError, compile_word_list, send_command
from plain_triton import extract, refusal

pytestmark = pytest.mark.server

TEXT = "近日，青石云科发布了新一代平台。"


@pytest.fixture
def token():
    from server_under_test import ADMIN_TOKEN

    return ADMIN_TOKEN


def compiled(tmp_path, words):
    path = tmp_path / "words.tsv"
    path.write_text("".join(f"{word}\t{kind}\n" for word, kind in words.items()), encoding="utf-8")
    return compile_word_list(path, "finance")


@pytest.fixture
def push(server, token, tmp_path):
    def run(name, words):
        return send_command(
            server.grpc_url, token, {"action": "push", "name": name}, compiled(tmp_path, words), timeout_s=10
        )

    return run


def test_a_pushed_lexicon_is_used_by_the_next_request_and_named_in_its_answer(connection, push):
    result = push("pushed", {"青石云科": "company"})
    answer = extract(connection, [TEXT], LEXICON_NAME=["pushed"])
    assert "青石云科" in [e["text"] for e in answer.rows[0] if e["type"] == "company"]
    assert answer.versions == [f"base@1+pushed@{result['version']}"]
    assert extract(connection, [TEXT]).versions == ["base@1"]


def test_versions_are_listed_and_rolled_back(server, connection, push, token):
    first = push("rolled", {"青石云科": "company"})["version"]
    second = push("rolled", {"无关词语": "company"})["version"]
    rows = send_command(server.grpc_url, token, {"action": "list"})["lexicons"]
    row = next(row for row in rows if row["name"] == "rolled")
    assert (row["version"], row["versions"][-2:]) == (second, [first, second])
    assert send_command(server.grpc_url, token, {"action": "rollback", "name": "rolled"})["version"] == first
    assert extract(connection, [TEXT], LEXICON_NAME=["rolled"]).versions == [f"base@1+rolled@{first}"]


def test_fifty_pushes_under_load_fail_no_request_and_leave_no_stale_answer(server, connection, push):
    import tritonclient.grpc as triton

    push("busy", {"无关词语": "company"})
    failures, answers = [], []
    stop = threading.Event()

    def load():
        client = triton.InferenceServerClient(server.grpc_url)
        while not stop.is_set():
            try:
                answers.append(extract(client, [TEXT, "上海的天气"], LEXICON_NAME=["busy", "busy"]))
            except Exception as error:
                failures.append(error)
        client.close()

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    stale = []
    alone = {}
    for number in range(50):
        words = {"青石云科": "company"} if number % 2 else {"无关词语": "company"}
        version = push("busy", words)["version"]
        answer = extract(connection, [TEXT], LEXICON_NAME=["busy"])
        if answer.versions != [f"base@1+busy@{version}"]:
            stale.append((version, answer.versions))
        alone[f"base@1+busy@{version}"] = answer.rows[0]
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert stale == []
    assert len(answers) > 50
    # Whatever version a request ran on, it ran on the whole of it: both rows name it, and the result is that version's.
    for answer in answers:
        assert len(set(answer.versions)) == 1
        expected = alone.get(answer.versions[0])
        if expected is not None:
            assert [(e["start"], e["end"], e["type"]) for e in answer.rows[0]] == [
                (e["start"], e["end"], e["type"]) for e in expected
            ]


def test_a_broken_file_is_refused_and_the_old_version_stays(server, connection, push, token, tmp_path):
    version = push("kept", {"青石云科": "company"})["version"]
    content = compiled(tmp_path, {"别的词": "company"})
    command = {"action": "push", "name": "kept"}
    for broken, message in (
        (content[:-10], "truncated"),
        (b"", "truncated"),
        (b"x" * 500, "not a lexicon file"),
        (content[:200] + b"?" + content[201:], "corrupted"),
        (compiled(tmp_path, {"别的词": "planet"}), "unknown lexicon type 'planet'; known types"),
    ):
        with pytest.raises(LexiconServerError, match=message) as refused:
            send_command(server.grpc_url, token, command, broken)
        assert "/" not in str(refused.value).split(": ", 1)[1]
    assert extract(connection, [TEXT], LEXICON_NAME=["kept"]).versions == [f"base@1+kept@{version}"]


def test_commands_without_the_token_are_refused(server):
    for token in ("", "a guess"):
        with pytest.raises(LexiconServerError, match="the admin token is wrong"):
            send_command(server.grpc_url, token, {"action": "list"})


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ({"action": "delete"}, "unknown action 'delete'"),
        ({"name": "x"}, "COMMAND must be JSON"),
        ({"action": "push", "name": "../x"}, "is not a lexicon name"),
        ({"action": "rollback", "name": "never"}, "no lexicon 'never' is installed"),
    ],
)
def test_bad_commands_are_refused(server, token, command, message):
    with pytest.raises(LexiconServerError, match=message):
        send_command(server.grpc_url, token, command, b"")


def test_unknown_names_are_refused_with_the_installed_ones(connection, push):
    push("known", {"青石云科": "company"})
    assert "known" in refusal(connection, [TEXT], LEXICON_NAME=["unknown"])


def test_a_store_keeps_versions_and_refuses_what_the_check_refuses(tmp_path):
    store = LexiconStore(tmp_path / "lexicons")
    (tmp_path / "a.lex").touch()
    Lexicon.from_words({"甲": "n"}).save(tmp_path / "a.lex")
    content = (tmp_path / "a.lex").read_bytes()

    def refuse(lexicon):
        raise LexiconError("no")

    assert store.install("a", content, lambda lexicon: None).label == "a@1"
    with pytest.raises(LexiconError, match="no"):
        store.install("a", content, refuse)
    held = store.current("a")
    assert store.install("a", content, lambda lexicon: None).label == "a@2"
    assert (held.label, store.current("a").label) == ("a@1", "a@2")
    assert (store.names(), store.versions("a")) == (["a"], [1, 2])
    assert store.rollback("a") == 1
    with pytest.raises(UnknownLexiconError, match="no version to go back to"):
        store.rollback("a")
    assert not [path for path in (tmp_path / "lexicons" / "a").iterdir() if path.name.startswith(".new")]
