"""``distillex label``: from a stand-in of an OpenAI-compatible server that fails in every way, and from a model."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from chat_server import ChatServer, answer, entities_of, refusal, wait_until
from conftest import toy_sentences, write_jsonl
from distillex.command.main import application
from distillex_training.data.records import read_records
from distillex_training.errors import BadAnswer
from distillex_training.labelling.answers import read_answer
from distillex_training.labelling.endpoint import asked_wait
from typer.testing import CliRunner

TYPES = "name: the name of a person\ncompany: a business, by its full or short name\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Twelve raw sentences and the types; the working folder is this one, and no key is set."""
    texts = list(dict.fromkeys(record["text"] for record in toy_sentences(30, 3)))[:12]
    (tmp_path / "raw.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    (tmp_path / "types.yaml").write_text(TYPES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return tmp_path


def arguments(url, *more):
    asked = ["label", "raw.txt", "-o", "labels.jsonl", "--endpoint", url, "--llm", "toy", "--types", "types.yaml"]
    return [*asked, "--backoff", "0.01", "--cache", "cache", *more]


def run(server_or_url, *more, code=0):
    url = getattr(server_or_url, "url", server_or_url)
    result = CliRunner().invoke(application, arguments(url, *more))
    assert result.exit_code == code, result.output
    return result.output


def texts_of(folder):
    return (folder / "raw.txt").read_text(encoding="utf-8").split()


def written(folder):
    file = read_records(folder / "labels.jsonl")
    assert not file.problems
    return {record.text: record for record in file.records}


def surfaces(record):
    return sorted((record.text[span.start : span.end], span.type) for span in record.spans)


def is_right(record):
    return surfaces(record) == sorted((e["text"], e["type"]) for e in entities_of(record.text)) and not record.open


def test_sentences_are_labelled_in_their_order(folder, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret\n")
    with ChatServer() as server:
        output = run(server, "--key-variable", "MY_KEY", "--price-in", "2", "--price-out", "10")
    records = written(folder)
    assert list(records) == texts_of(folder)
    assert all(is_right(record) for record in records.values())
    assert "12 sentences: 12 labelled (0 of them before), 24 entities, 0 sentences without any" in output
    # 12 times 100 tokens at 2 a million, 12 times 10 at 10 a million.
    assert "1,200 tokens in, 120 out, cost 0.0036" in output
    body, headers = server.asked[0]
    assert headers["Authorization"] == "Bearer secret"
    assert body["model"] == "toy"
    assert body["temperature"] == 0
    schema = body["response_format"]["json_schema"]
    assert schema["strict"] is True
    entity = schema["schema"]["properties"]["entities"]["items"]
    assert entity["properties"]["type"]["enum"] == ["name", "company"]
    assert "- company: a business, by its full or short name" in body["messages"][0]["content"]
    assert len(body["messages"]) == 2


def test_examples_and_scores_are_part_of_what_is_asked(folder):
    example = {
        "text": "王芳在海天",
        "entities": [{"text": "海天", "type": "company"}, {"text": "王芳", "type": "name"}],
    }
    write_jsonl(folder / "few.jsonl", [example])
    with ChatServer(lambda text, body, count: answer(text, score=0.75)) as server:
        run(server, "--examples", "few.jsonl", "--scores")
    body, headers = server.asked[0]
    assert "Authorization" not in headers
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    shown = [{"text": "王芳", "type": "name", "score": 1.0}, {"text": "海天", "type": "company", "score": 1.0}]
    assert json.loads(body["messages"][2]["content"])["entities"] == shown
    assert "score" in body["response_format"]["json_schema"]["schema"]["properties"]["entities"]["items"]["required"]
    assert {span.score for record in written(folder).values() for span in record.spans} == {0.75}


def test_what_fails_for_a_while_is_asked_again(folder):
    late = []

    def behave(text, body, count):
        failing = {0: refusal(429, "slow down", Retry_After="0"), 1: refusal(503, "overloaded")}
        if count in failing:
            return failing[count]
        if not late:
            late.append(text)
            time.sleep(1.5)
        return None

    with ChatServer(behave) as server:
        output = run(server, "--timeout", "1", "--concurrency", "3")
    assert all(is_right(record) for record in written(folder).values())
    assert len(written(folder)) == 12
    assert server.texts().count(late[0]) >= 4
    assert "12 asked" in output
    assert "requests sent again" in output


@pytest.fixture
def waits(monkeypatch):
    """Seconds of each wait, in the order in which they began."""
    seconds, sleep = [], asyncio.sleep

    async def noting(delay, *result):
        seconds.append(delay)
        return await sleep(delay, *result)

    monkeypatch.setattr(asyncio, "sleep", noting)
    return seconds


def test_a_request_is_sent_again_after_the_wait_that_the_server_asks_for(folder, waits):
    def behave(text, body, count):
        return refusal(429, "slow down", Retry_After="0.5") if text == first and count == 0 else None

    first = texts_of(folder)[0]
    with ChatServer(behave) as server:
        run(server)
    assert max(waits) == 0.5
    assert len(written(folder)) == 12
    assert len(server.asked) == 13


def test_a_server_that_asks_for_no_wait_is_given_the_usual_one(folder, waits):
    def behave(text, body, count):
        return refusal(429, "slow down", Retry_After="0") if text == texts_of(folder)[0] and count == 0 else None

    with ChatServer(behave) as server:
        run(server, "--backoff", "0.5")
    assert 0.25 <= max(waits) <= 0.5


def test_a_wait_may_be_asked_for_by_a_date():
    now = datetime.now(timezone.utc)
    assert 50 < asked_wait(format_datetime(now + timedelta(seconds=100), usegmt=True)) <= 100
    for asked in (None, "soon", "-1", "nan", "inf", format_datetime(now - timedelta(hours=1), usegmt=True)):
        assert asked_wait(asked) == 0
    assert asked_wait("2.5") == 2.5


def test_so_many_requests_run_at_once_and_no_more(folder):
    def behave(text, body, count):
        if text != texts_of(folder)[0]:  # which is asked alone
            wait_until(lambda: server.most_at_once >= 3)

    with ChatServer(behave) as server:
        run(server, "--concurrency", "3")
    assert server.most_at_once == 3


@pytest.mark.parametrize("taken", ["json_object", None])
def test_the_format_falls_back_to_what_the_server_takes(folder, taken, caplog):
    def behave(text, body, count):
        asked = body.get("response_format", {}).get("type")
        if asked != taken:
            return refusal(400, f"response_format {asked} is not supported")
        return None if taken else f"Here you are:\n```json\n{answer(text)}\n```\nAnything else?"

    with ChatServer(behave) as server, caplog.at_level("INFO", "distillex.training"):
        run(server)
    assert len(written(folder)) == 12
    assert all(is_right(record) for record in written(folder).values())
    assert len(server.asked) == (13 if taken else 14)  # settled with the first sentence
    assert "the endpoint does not take JSON schema: asking in" in caplog.text


BAD = {
    "no JSON": "I cannot do that.",
    'no list "entities"': '{"answer": []}',
    "empty": "",
    "not whole (length)": {"finish_reason": "length", "content": '{"entities": [{"text": "'},
    "not whole (content_filter)": {"finish_reason": "content_filter", "content": ""},
    "an entity without text or type": '{"entities": [{"text": "张伟"}]}',
    "an entity is no object": '{"entities": ["张伟"]}',
    "a score that is no number from 0 to 1": '{"entities": [{"text": "张伟", "type": "name", "score": 95}]}',
    "none of its entities stands in the text": '{"entities": [{"text": "无此人", "type": "name"}]}',
}


def test_bad_answers_are_counted_and_never_become_sentences_without_entities(folder):
    bad = dict(zip(texts_of(folder)[1:], BAD.items(), strict=False))
    with ChatServer(lambda text, body, count: bad[text][1] if text in bad else None) as server:
        output = run(server)
        assert set(written(folder)) == set(texts_of(folder)) - set(bad)
        assert all(is_right(record) for record in written(folder).values())
        for kind in BAD:
            assert f"{kind} 2" in output  # each was asked twice
        assert "9 sentences are not labelled and not written; the same command asks for them again" in output
        before = len(server.asked)
        server.behave = lambda text, body, count: None
        again = run(server)
    assert sorted(server.texts()[before:]) == sorted(bad)
    assert list(written(folder)) == texts_of(folder)
    assert "12 labelled (3 of them before)" in again


def test_where_nothing_is_labelled_nothing_is_written(folder):
    with ChatServer(lambda text, body, count: "sorry") as server:
        assert "no sentence was labelled; nothing is written" in run(server, code=1)
    assert not (folder / "labels.jsonl").exists()


def test_what_an_answer_does_not_say_stays_open(folder):
    def behave(text, body, count):
        entities = entities_of(text)
        name, company = entities
        return (
            json.dumps({"entities": [name | {"text": "无此人"}, company]})
            if text == texts[0]
            else (json.dumps({"entities": [name | {"type": "animal"}, company | {"type": " Company"}]}))
        )

    texts = texts_of(folder)
    with ChatServer(behave) as server:
        output = run(server)
    records = written(folder)
    assert [span.type for span in records[texts[0]].spans] == ["company"]
    (stretch,) = records[texts[0]].open
    assert (stretch.start, stretch.end, stretch.types) == (0, len(texts[0]), ("name",))
    assert [span.type for span in records[texts[1]].spans] == ["company"]
    (stretch,) = records[texts[1]].open
    assert (texts[1][stretch.start : stretch.end], stretch.types) == (
        entities_of(texts[1])[0]["text"],
        ("name", "company"),
    )
    assert "1 of them stand nowhere in their text; such as" in output
    assert "'无此人' name" in output


def closed_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (refusal(401, "Incorrect API key"), "HTTP 401: Incorrect API key"),
        (refusal(404, "The model `toy` does not exist"), "HTTP 404: The model `toy` does not exist"),
        (
            (200, {}, b"<html>welcome</html>"),
            "is no chat completion: '<html>welcome</html>'; the URL of an Open",
        ),
        ((302, {"Location": "/login"}, b""), "HTTP 302"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_told_at_the_first_request(folder, reply, message):
    with ChatServer(lambda text, body, count: reply) as server:
        assert message in run(server, code=1)
    assert len(server.asked) == 1
    assert not (folder / "labels.jsonl").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:{port}/v1", "/v1/chat/completions: no connection"),
        ("127.0.0.1:{port}/v1", "127.0.0.1:{port}/v1/chat/completions: "),
    ],
)
def test_where_nobody_listens_it_is_said_at_once(folder, url, message):
    port = closed_port()
    assert message.format(port=port) in run(url.format(port=port), "--backoff", "60", code=1)


def test_a_request_that_the_server_refuses_again_and_again_ends_the_run(folder):
    texts = dict.fromkeys(record["text"] for record in toy_sentences(60, 3))
    (folder / "raw.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    with ChatServer(lambda text, body, count: refusal(400, "max_tokens is too large")) as server:
        output = run(server, code=1)
    assert "20 sentences in a row refused: HTTP 400: max_tokens is too large" in output
    assert len(set(server.texts())) == 20


@pytest.mark.parametrize("status", [400, 403])
def test_texts_that_the_server_refuses_do_not_keep_others_from_being_labelled(folder, status):
    texts = [record["text"] for record in toy_sentences(120, 3)]
    (folder / "raw.txt").write_text("".join(f"{text}\n" for text in dict.fromkeys(texts)), encoding="utf-8")
    texts = texts_of(folder)
    # More of them in a row than ways to ask, at the beginning and later.
    refused = {*texts[:4], *texts[40:65]}

    def behave(text, body, count):
        return refusal(status, "content filter") if text in refused else None

    with ChatServer(behave) as server:
        output = run(server)
        assert list(written(folder)) == [text for text in texts if text not in refused]
        assert f"not answered: HTTP {status}: content filter 29" in output
        # Once the format is settled, a refusal is one of the text.
        assert [server.texts().count(text) for text in texts[40:65]] == [1] * 25
        assert {body["response_format"]["type"] for body, _ in server.asked[12:]} == {"json_schema"}
        again = run(server)
    assert list(written(folder)) == [text for text in texts if text not in refused]
    assert f"not answered: HTTP {status}: content filter 29" in again


def test_what_is_in_the_cache_is_written_where_the_endpoint_gives_up(folder):
    texts = texts_of(folder)
    with ChatServer() as server:
        run(server, "--limit", "5")
        server.behave = lambda text, body, count: refusal(401, "key revoked")
        (folder / "labels.jsonl").unlink()
        assert "HTTP 401: key revoked; what was answered is kept in" in run(server, code=1)
    assert list(written(folder)) == texts[:5]


def test_an_endpoint_that_stops_answering_ends_the_run_and_what_it_said_is_kept(folder):
    texts = [record["text"] for record in toy_sentences(300, 3)]
    (folder / "raw.txt").write_text("".join(f"{text}\n" for text in dict.fromkeys(texts)), encoding="utf-8")
    with ChatServer() as server:
        server.behave = lambda text, body, count: refusal(500, "out of memory") if len(server.answered) >= 5 else None
        output = run(server, "--retries", "0", "--concurrency", "2", code=1)
        assert "20 sentences in a row without an answer: HTTP 500; what was answered is kept in" in output
        kept = set(server.answered)
        server.behave = lambda text, body, count: None
        before = len(server.asked)
        run(server)
    assert not kept & set(server.texts()[before:])
    assert list(written(folder)) == texts_of(folder)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_killed_goes_on_where_it_was(folder, how):
    def behave(text, body, count):
        if texts.index(text) >= 4:
            held.append(text)
            wait_until(lambda: not held, limit_s=480)  # the killing comes first

    held, texts = [], texts_of(folder)
    with ChatServer(behave) as server:
        command = [sys.executable, "-m", "distillex.command.main", *arguments(server.url, "--concurrency", "2")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        inherited = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
        try:
            process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
        finally:
            signal.signal(signal.SIGINT, inherited)
        try:
            wait_until(lambda: len(held) == 2)  # what came before is kept by then
            process.send_signal(how)
            _, told = process.communicate(timeout=240)
        finally:
            process.kill()
        if how is signal.SIGINT:
            assert process.returncode == 130
            assert "interrupted; what was answered is kept in" in told
        assert not (folder / "labels.jsonl").exists()
        server.behave = lambda text, body, count: None
        held.clear()
        before = len(server.asked)
        output = run(server)
    assert sorted(server.texts()[before:]) == sorted(texts[4:])
    assert "12 labelled (4 of them before)" in output
    assert all(is_right(record) for record in written(folder).values())
    assert list(written(folder)) == texts_of(folder)


@pytest.mark.parametrize("changed", ["prompt", "types", "llm", "request"])
def test_another_prompt_or_model_asks_anew_and_the_same_does_not(folder, changed):
    (folder / "mine.txt").write_text("Find these:\n{types}\n", encoding="utf-8")
    (folder / "more.yaml").write_text(TYPES + "place:\n", encoding="utf-8")
    more = {
        "prompt": ["--prompt", "mine.txt"],
        "types": ["--types", "more.yaml"],
        "llm": ["--llm", "other"],
        "request": ["--request", '{"temperature": 0.5}'],
    }
    with ChatServer() as server:
        run(server, "--limit", "3")
        assert len(server.asked) == 3
        run(server, "--limit", "3")
        assert len(server.asked) == 3
        run(server, "--limit", "3", *more[changed])
        assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model", "."], "give either --model or --endpoint"),
        (["--request", "[1]"], "an object of further fields is accepted"),
        (["--request", '{"messages": []}'], "not messages, model, response_format or stream"),
        (["-o", "raw.txt"], "raw.txt is an input"),
        (["-o", "types.yaml"], "types.yaml is an input"),
        (["--examples", "few.jsonl", "-o", "few.jsonl"], "few.jsonl is an input"),
        (["--prompt", "few.jsonl", "-o", "few.jsonl"], "few.jsonl is an input"),
        (["-o", "."], ". is a folder"),
    ],
)
def test_wrong_use_is_told_before_anything_is_asked(folder, more, message):
    (folder / "few.jsonl").touch()
    assert message in run("http://127.0.0.1:1/v1", *more, code=2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("types.yaml", "3", "types.yaml: expected names of types with a description each"),
        ("types.yaml", "no: a negation", "types.yaml: YAML reads a name as False: write it in quotes"),
        ("types.yaml", "name: [a]", "types.yaml: name: ['a'] is no description"),
        ("mine.txt", "Find entities.", "mine.txt: {types} is missing"),
        (
            "few.jsonl",
            '{"text": "张伟", "entities": [{"text": "张", "type": "animal"}]}',
            "type 'animal' is not asked for",
        ),
        ("few.jsonl", '{"text": "张伟", "entities": [{"text": "李", "type": "name"}]}', "does not stand in the text"),
    ],
)
def test_wrong_files_are_told_before_anything_is_asked(folder, name, content, message):
    (folder / name).write_text(content, encoding="utf-8")
    more = {"mine.txt": ["--prompt", "mine.txt"], "few.jsonl": ["--examples", "few.jsonl"]}.get(name, [])
    assert message in run("http://127.0.0.1:1/v1", *more, code=2)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ('None? {"entities": []}</think>', "empty"),
        ('<think>None? {"entities": []}', "empty"),
        ('For none: {"entities": []}. Here: {"entities": [{"text": "张伟", "type": "name"}]}', "several answers"),
    ],
)
def test_what_is_thought_or_repeated_is_no_answer(content, kind):
    with pytest.raises(BadAnswer, match=kind):
        read_answer(content, ("name",))


def test_an_answer_follows_thoughts_whose_beginning_the_server_leaves_out():
    said = '{"entities": [{"text": "张伟", "type": "name"}]}'
    for content in ('None? {"entities": []}</think>' + said, f"{said}\nOnce more:\n{said}"):
        assert [mention.text for mention in read_answer(content, ("name",)).mentions] == ["张伟"]


def test_another_server_asks_anew(folder):
    with ChatServer() as one, ChatServer() as other:
        run(one, "--limit", "2")
        run(other, "--limit", "2")
        run(other, "--limit", "2")
        assert (len(one.asked), len(other.asked)) == (2, 2)


def test_a_password_in_the_url_is_not_shown_and_does_not_part_the_answers(folder):
    with ChatServer(lambda text, body, count: refusal(401, "who are you")) as server:
        output = run(server.url.replace("//", "//me:secret@"), code=1)
        assert "HTTP 401: who are you" in output
        assert "secret" not in output
        server.behave = lambda text, body, count: None
        for url in (server.url.replace("//", "//me:secret@"), server.url.replace("//", "//me:other@")):
            run(url, "--limit", "2")
        assert len(server.answered) == 2
    assert "secret" not in run(f"http://me:secret@127.0.0.1:{closed_port()}/v1", "--limit", "3", code=1)


def test_a_key_of_several_lines_is_refused_without_showing_it(folder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "first\nsecond")
    with ChatServer() as server:
        output = run(server, code=1)
    assert "the key holds a line break" in output
    assert "second" not in output
    assert not server.asked


def test_an_answer_in_the_cache_that_is_a_bad_one_now_is_asked_for_again(folder):
    with ChatServer() as server:
        run(server, "--limit", "3")
        with contextlib.closing(sqlite3.connect(folder / "cache" / "answers.sqlite")) as table, table:
            table.execute("UPDATE answers SET content = 'sorry' WHERE rowid = 2")
        output = run(server, "--limit", "3")
    assert len(server.asked) == 4
    assert "3 labelled (2 of them before)" in output


def test_an_answer_is_whole_whatever_the_server_calls_its_end(folder):
    with ChatServer(lambda text, body, count: {"finish_reason": "eos_token", "content": answer(text)}) as server:
        run(server)
    assert len(written(folder)) == 12


def test_types_may_be_a_list_of_names(folder):
    (folder / "types.yaml").write_text("- name\n- company\n", encoding="utf-8")
    with ChatServer() as server:
        run(server)
    assert "- name\n- company" in server.asked[0][0]["messages"][0]["content"]


def test_thoughts_before_an_answer_are_no_answer():
    draft = '{"entities": [{"text": "不", "type": "name"}]}'
    content = f'<think>maybe {draft}</think>Result: {{"note": 1}} {{"entities": [{{"text": "张伟", "label": "NAME"}}]}}'
    (mention,) = read_answer(content, ("name",)).mentions
    assert (mention.text, mention.type) == ("张伟", "name")
    for content, kind in (
        ("{" * 5000, "no JSON"),
        (r'{"entities": [{"text": "\ud800", "type": "name"}]}', "without text"),
    ):
        with pytest.raises(BadAnswer, match=kind):
            read_answer(content, ("name",))


@pytest.mark.parametrize("kind", ["toy_student", "toy_teacher"])
def test_a_model_labels_with_its_posteriors_as_scores(toy, folder, kind, request):
    model = request.getfixturevalue(kind)
    texts = (toy / "raw.txt").read_text(encoding="utf-8").split()[:8]
    (folder / "raw.txt").write_text("\n".join([*texts, "长" * 600]) + "\n", encoding="utf-8")
    asked = ["label", "raw.txt", "-o", "labels.jsonl", "--model", str(model), "--cache", "cache"]
    result = CliRunner().invoke(application, [*asked, "--base", str(toy / "base.lex")])
    assert result.exit_code == 0, result.output
    assert "1 sentences of more than 510 code points left out" in result.output
    records = written(folder)
    assert list(records) == list(dict.fromkeys(texts))
    spans = [span for record in records.values() for span in record.spans]
    assert {span.type for span in spans} <= {"name", "company"}
    assert any(0 < span.score < 1 for span in spans)


def test_what_is_no_model_or_no_cache_is_told(folder, toy_encoder):
    result = CliRunner().invoke(application, ["label", "raw.txt", "-o", "labels.jsonl", "--model", str(toy_encoder)])
    assert (result.exit_code, "distillex label: " in result.output) == (2, True), result.output
    (folder / "cache").mkdir()
    with contextlib.closing(sqlite3.connect(folder / "cache" / "answers.sqlite")) as table, table:
        table.execute("CREATE TABLE answers (something TEXT)")
    assert "answers.sqlite: no such column: content" in run("http://127.0.0.1:1/v1", code=1)


def test_options_of_an_endpoint_are_refused_beside_a_model(folder):
    asked = ["label", "raw.txt", "-o", "labels.jsonl", "--model", ".", "--types", "types.yaml"]
    result = CliRunner().invoke(application, asked)
    assert result.exit_code == 2
    assert "--types, --examples, --prompt and --scores go with --endpoint" in result.output
