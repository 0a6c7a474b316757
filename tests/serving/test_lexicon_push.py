"""Named lexicons on a running server: pushed, listed, rolled back, under load, and refused."""

from __future__ import annotations

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("tritonclient.grpc")
from distillex.command.main import application
from distillex.lexicon_server import send_command
from distillex_client.errors import AccessDenied, InvalidRequest
from distillex_matcher import Lexicon
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.errors import ServerError
from plain_triton import bytes_tensor, extract, refusal
from server_under_test import ADMIN_TOKEN, server_options
from typer.testing import CliRunner

pytestmark = pytest.mark.server

TEXT = "近日，青石云科发布了新一代平台。"
LONG = TEXT * 20


@pytest.fixture
def token():
    return ADMIN_TOKEN


def compiled(words):
    return Lexicon.from_words(words).to_bytes()


@pytest.fixture
def push(served, token):
    def run(name, words, **fields):
        command = {"action": "push", "name": name, **fields}
        return send_command(served.grpc_url, token, command, compiled(words), timeout_s=10)

    return run


def test_a_pushed_lexicon_is_used_by_the_next_request_and_named_in_its_answer(connection, push):
    result = push("pushed", {"青石云科": "company"})
    answer = extract(connection, [TEXT], LEXICON_NAME=["pushed"])
    assert "青石云科" in [e["text"] for e in answer.rows[0] if e["type"] == "company"]
    assert answer.versions == [f"base@1+pushed@{result['version']}"]
    assert extract(connection, [TEXT]).versions == ["base@1"]


def test_a_lexicon_is_trusted_as_it_was_pushed_and_as_a_rollback_brings_back(served, connection, token, tmp_path):
    text, name = "我今天很高兴。", f"trusted-{served.grpc_port}"
    words, empty = tmp_path / "words.tsv", tmp_path / "token"
    words.write_text("高兴\tcompany\n", encoding="utf-8")
    empty.write_text(token, encoding="utf-8")
    where = ("--url", served.grpc_url, "--admin-token-file", str(empty))

    def run(*arguments):
        done = CliRunner().invoke(application, ["lexicon", *arguments, *where])
        assert done.exit_code == 0, done.output

    def texts(**more):
        return [entity["text"] for entity in extract(connection, [text], LEXICON_NAME=[name], **more).rows[0]]

    run("push", name, str(words))
    assert texts() == []
    run("push", name, str(words), "--trust", "insist")
    assert texts() == ["高兴"]
    assert texts(TRUST=["hint"]) == []
    (row,) = [
        row for row in send_command(served.grpc_url, token, {"action": "list"})["lexicons"] if row["name"] == name
    ]
    assert row["trust"] == "insist"
    run("rollback", name)
    assert texts() == []


def test_versions_are_listed_and_rolled_back(served, connection, push, token):
    first = push("rolled", {"青石云科": "company"})["version"]
    second = push("rolled", {"无关词语": "company"})["version"]
    rows = send_command(served.grpc_url, token, {"action": "list"})["lexicons"]
    row = next(row for row in rows if row["name"] == "rolled")
    assert (row["version"], row["versions"][-2:]) == (second, [first, second])
    assert send_command(served.grpc_url, token, {"action": "rollback", "name": "rolled"})["version"] == first
    assert extract(connection, [TEXT], LEXICON_NAME=["rolled"]).versions == [f"base@1+rolled@{first}"]


def test_fifty_pushes_under_load_fail_no_request_and_leave_no_stale_answer(served, connection, push):
    import tritonclient.grpc as triton

    push("busy", {"无关词语": "company"})
    failures, answers = [], []
    stop = threading.Event()

    def load():
        client = triton.InferenceServerClient(served.grpc_url)
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
        asked = len(answers)
        words = {"青石云科": "company"} if number % 2 else {"无关词语": "company"}
        version = push("busy", words)["version"]
        answer = extract(connection, [TEXT], LEXICON_NAME=["busy"])
        if answer.versions != [f"base@1+busy@{version}"]:
            stale.append((version, answer.versions))
        alone[f"base@1+busy@{version}"] = answer.rows[0]
        # Each version is asked for by the others too, however slow the machine is.
        assert wait_until(lambda asked=asked: len(answers) > asked or failures, seconds=60)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert stale == []
    assert len(answers) >= 50
    compared = 0
    # Whatever version a request ran on, it ran on the whole of it: both rows name it, and the result is that version's.
    for answer in answers:
        assert len(set(answer.versions)) == 1
        expected = alone.get(answer.versions[0])
        if expected is not None:
            compared += 1
            assert [(e["start"], e["end"], e["type"]) for e in answer.rows[0]] == [
                (e["start"], e["end"], e["type"]) for e in expected
            ]
    assert compared


def test_a_broken_file_is_refused_and_the_old_version_stays(served, connection, push, token):
    version = push("kept", {"青石云科": "company"})["version"]
    content = compiled({"别的词": "company"})
    command = {"action": "push", "name": "kept"}
    for broken, message in (
        (content[:-10], "truncated"),
        (b"", "truncated"),
        (b"x" * 500, "not a lexicon file"),
        (content[:200] + b"?" + content[201:], "corrupted"),
        (compiled({"别的词": "planet"}), "unknown lexicon type 'planet'; known types"),
    ):
        with pytest.raises(InvalidRequest, match=message) as refused:
            send_command(served.grpc_url, token, command, broken)
        assert "/" not in str(refused.value)
    assert extract(connection, [TEXT], LEXICON_NAME=["kept"]).versions == [f"base@1+kept@{version}"]


def test_commands_without_the_token_are_refused(served, connection):
    with pytest.raises(InvalidRequest, match="the admin token is wrong"):
        send_command(served.grpc_url, "a guess", {"action": "list"})
    for token in ("", None):
        with pytest.raises(AccessDenied, match="no token given: --admin-token-file or DISTILLEX_ADMIN_TOKEN"):
            send_command(served.grpc_url, token, {"action": "list"})
    # A caller that is not ours.
    assert raw_command(connection, b"", b'{"action": "list"}') == "no admin token was given"


def raw_command(connection, token, command, content=None):
    """The message with which the server refuses COMMAND, whatever is in it."""
    import tritonclient.grpc as triton

    values = {"TOKEN": token, "COMMAND": command} | ({} if content is None else {"CONTENT": content})
    with pytest.raises(triton.InferenceServerException) as refused:
        connection.infer("lexicons", [bytes_tensor(name, [value], [1]) for name, value in values.items()])
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT", refused.value
    message = refused.value.message()
    for forbidden in ("\n", "Traceback", ".py", "/"):
        assert forbidden not in message
    return message


BAD_COMMANDS = {
    "unknown action": (
        b'{"action": "delete"}',
        'unknown action "delete"; push, list, rollback, prune, remove are accepted',
    ),
    "no action": (b'{"name": "x"}', "COMMAND must be JSON like"),
    "no object": (b'["push"]', "COMMAND must be JSON like"),
    "an action that is no string": (b'{"action": [1]}', "unknown action a list"),
    "an action as long as a book": (b'{"action": "' + b"x" * 5000 + b'"}', "xxx…; push, list"),
    "a path": (b'{"action": "rollback", "name": "..x"}', "'..x' is not a lexicon name"),
    "no name": (b'{"action": "push"}', "the name null is not a string"),
    "a number as name": (b'{"action": "push", "name": 3}', "the name 3 is not a string"),
    "an object as name": (b'{"action": "push", "name": {}}', "the name an object is not a string"),
    "a lone surrogate as name": (b'{"action": "rollback", "name": "\\ud800"}', "is not a lexicon name"),
    "not installed": (
        b'{"action": "rollback", "name": "never"}',
        "no lexicon 'never' is installed; installed lexicons:",
    ),
    "a version that is true": (b'{"action": "rollback", "name": "a", "version": true}', "version true is not a whole"),
    "a version that is text": (b'{"action": "rollback", "name": "a", "version": "1"}', 'version "1" is not a whole'),
    "a version that is broken": (b'{"action": "rollback", "name": "a", "version": 1.5}', "version 1.5 is not a whole"),
    "version 0": (b'{"action": "rollback", "name": "a", "version": 0}', "version 0 is not a whole number from 1 on"),
    "a version of 4,000 digits": (
        b'{"action": "rollback", "name": "a", "version": ' + b"9" * 4000 + b"}",
        "999… is not a whole number",
    ),
    "nothing to keep": (b'{"action": "prune", "name": "a", "keep": 0}', "keep 0 is not a whole number from 1 on"),
    "keep what": (b'{"action": "prune", "name": "a"}', "keep null is not a whole number from 1 on"),
    "a field of another action": (b'{"action": "list", "keep": 1}', 'list has no field "keep"; accepted: none'),
    "an unknown field": (
        b'{"action": "push", "name": "a", "force": 1}',
        'push has no field "force"; accepted: keep, name, re',
    ),
    "a yes that is text": (b'{"action": "push", "name": "a", "replace_base": "yes"}', 'replace_base "yes" is neither'),
    "deep brackets": (b"[" * 100_000, "brackets that deep, are not accepted"),
    "brackets in a name": (b'{"action": "push", "name": ' + b"[" * 900 + b"]" * 900 + b"}", "the name a list is not"),
    "an endless number": (
        b'{"action": "rollback", "name": "a", "version": ' + b"9" * 5000 + b"}",
        "COMMAND is not JSON",
    ),
    "a key twice": (b'{"action": "list", "action": "push"}', "COMMAND holds the key 'action' twice"),
    "NaN": (b'{"action": "rollback", "name": "a", "version": NaN}', "COMMAND holds NaN, which is not JSON"),
    "infinity": (b'{"action": "rollback", "name": "a", "version": -Infinity}', "COMMAND holds -Infinity, which is not"),
    "not UTF-8": (b'{"action": "\xff"}', "COMMAND is not UTF-8 (byte 12)"),
    "UTF-16": ('{"action": "list"}'.encode("utf-16"), "COMMAND is not UTF-8 (byte 0)"),
    "nothing": (b"", "COMMAND is not JSON"),
    "no content": (b'{"action": "push", "name": "a"}', "the input CONTENT is missing"),
}


@pytest.mark.parametrize(("command", "message"), BAD_COMMANDS.values(), ids=BAD_COMMANDS.keys())
def test_bad_commands_are_refused(connection, token, command, message):
    assert message in raw_command(connection, token.encode(), command)


def test_a_request_learns_of_no_lexicon_but_its_own(connection, push, served, token):
    push("tenant", {"青石云科": "company"})
    message = refusal(connection, [TEXT], LEXICON_NAME=["unknown"])
    assert message == "LEXICON_NAME: no lexicon 'unknown' is installed"
    # Who may change them may see them.
    with pytest.raises(InvalidRequest, match=r"installed lexicons: .*tenant"):
        send_command(served.grpc_url, token, {"action": "rollback", "name": "unknown"})


def test_a_refused_command_leaves_nothing_behind(served, token, lexicon_directory):
    before = sorted(lexicon_directory.iterdir())
    for command, content in (
        ({"action": "rollback", "name": "newname"}, None),
        ({"action": "prune", "name": "newname", "keep": 1}, None),
        ({"action": "push", "name": "newname"}, b"x" * 100),
    ):
        with pytest.raises(InvalidRequest):
            send_command(served.grpc_url, token, command, content)
    assert sorted(lexicon_directory.iterdir()) == before


def test_the_base_lexicon_is_replaced_only_by_those_who_say_so(connection, push, served, token):
    words = {"青石云科": "company", "无关词语": "company"}
    with pytest.raises(InvalidRequest, match="its 337,061 words by 2; push under anoth"):
        push("base", words)
    assert extract(connection, [TEXT]).versions == ["base@1"]
    version = push("base", words, replace_base=True)["version"]
    try:
        assert extract(connection, [TEXT]).versions == [f"base@{version}"]
    finally:
        send_command(served.grpc_url, token, {"action": "rollback", "name": "base", "version": 1})
    assert extract(connection, [TEXT]).versions == ["base@1"]
    pruned = send_command(served.grpc_url, token, {"action": "prune", "name": "base", "keep": 1})
    assert pruned["versions"] == [1, version]


def test_old_versions_are_pruned_and_the_one_in_use_stays(served, connection, push, token):
    name = f"pruned-{served.options.layout.value}"
    for _ in range(4):
        push(name, {"青石云科": "company"})
    send_command(served.grpc_url, token, {"action": "rollback", "name": name, "version": 1})
    result = send_command(served.grpc_url, token, {"action": "prune", "name": name, "keep": 2})
    assert result == {"name": name, "removed": [2], "versions": [1, 3, 4]}
    assert extract(connection, [TEXT], LEXICON_NAME=[name]).versions == [f"base@1+{name}@1"]


def test_files_changed_or_cut_under_the_server_change_nothing(served, connection, push, lexicon_directory):
    version = push("mapped", {"青石云科": "company"})["version"]
    before = extract(connection, [TEXT, "他在北京大学读书"], LEXICON_NAME=["mapped", "mapped"])
    files = [lexicon_directory / "base" / "1.lex", lexicon_directory / "mapped" / f"{version}.lex"]
    contents = [file.read_bytes() for file in files]
    try:
        for file, content in zip(files, contents, strict=True):
            with file.open("r+b") as opened:
                opened.write(b"\xff" * len(content))
            assert extract(connection, [TEXT, "他在北京大学读书"], LEXICON_NAME=["mapped", "mapped"]) == before
            os.truncate(file, 0)
            assert extract(connection, [TEXT, "他在北京大学读书"], LEXICON_NAME=["mapped", "mapped"]) == before
    finally:
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)


@pytest.mark.parametrize("content", [b"77\n", b"seven\n", b"", b"-1\n", b"1\0\n", b"1\n2\n", b"\xb2\n", b"1" * 5000])
def test_a_current_file_that_names_no_version_keeps_the_old_one_in_use(
    served, connection, push, lexicon_directory, content
):
    version = push("current", {"青石云科": "company"})["version"]
    label = f"base@1+current@{version}"
    # At once, so that every instance of the model has opened it.
    with ThreadPoolExecutor(4) as pool:
        for answer in pool.map(
            lambda text: extract(connection, [text] * 64, LEXICON_NAME=["current"] * 64), [LONG] * 4
        ):
            assert set(answer.versions) == {label}
    for name in ("current", "base"):
        path = lexicon_directory / name / "CURRENT"
        sound = path.read_bytes()
        path.write_bytes(content)
        try:
            for _ in range(3):
                assert extract(connection, [TEXT], LEXICON_NAME=["current"]).versions == [label]
        finally:
            path.write_bytes(sound)
        said = f"the lexicon {name} stays at {name}@"
        assert wait_until(lambda said=said: any(said in line for line in served.last_log_lines(50)))


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_a_named_lexicon_that_was_never_read_and_cannot_be_is_refused_in_one_sentence(
    connection, push, lexicon_directory
):
    for name, content in (("unread", b"9\n"), ("unreadable", b"?\n")):
        push(name, {"青石云科": "company"})
        for version in (lexicon_directory / name).glob("*.lex"):
            version.write_bytes(b"")
        (lexicon_directory / name / "CURRENT").write_bytes(content)
        message = refusal(connection, [TEXT], LEXICON_NAME=[name])
        assert message == f"LEXICON_NAME: the lexicon {name!r} cannot be read; the log says why"


def test_a_broken_lexicon_does_not_hide_the_others_from_the_list(served, push, token, lexicon_directory):
    push("whole", {"青石云科": "company"})
    push("broken", {"青石云科": "company"})
    (lexicon_directory / "broken" / "CURRENT").write_bytes(b"9\n")
    (lexicon_directory / "Not A Name").mkdir(exist_ok=True)
    (lexicon_directory / "Not A Name" / "CURRENT").write_bytes(b"1\n")
    rows = {row["name"]: row for row in send_command(served.grpc_url, token, {"action": "list"})["lexicons"]}
    assert rows["whole"]["words"] == 1
    assert (rows["broken"]["version"], rows["broken"]["words"]) == (9, None)
    assert rows["broken"]["problem"].startswith("lexicon broken@9: cannot be opened: No such file")
    assert "Not A Name" not in rows


@pytest.mark.parametrize(
    ("current", "message"),
    [
        (b"7\n", "extractor cannot start: lexicon base@7: cannot be opened: No such file or directory (lexicons of "),
        (
            b"one\n",
            "extractor cannot start: lexicon 'base': its file CURRENT holds b'one', which is not a version number",
        ),
    ],
)
def test_at_a_start_there_is_no_older_version_and_the_error_says_what_is_wrong(
    lexicon_directory, tmp_path, current, message
):
    (tmp_path / "base").mkdir()
    shutil.copy(lexicon_directory / "base" / "1.lex", tmp_path / "base")
    (tmp_path / "base" / "CURRENT").write_bytes(current)
    with pytest.raises(ServerError) as refused:
        EmbeddedServer(server_options(tmp_path)).start()
    assert message in str(refused.value)
