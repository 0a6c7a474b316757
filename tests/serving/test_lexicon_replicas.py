"""Lexicons at two servers that read one directory: pushed once, used by both; backed up, and restored under them."""

from __future__ import annotations

import random
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

tritonclient = pytest.importorskip("tritonclient.grpc")
psutil = pytest.importorskip("psutil", reason="needs psutil: pip install 'distillex[load]'")
from distillex.command.main import application  # noqa: E402
from distillex.lexicon_server import send_command  # noqa: E402
from distillex_client.errors import InvalidRequest  # noqa: E402
from distillex_matcher import Lexicon  # noqa: E402
from distillex_serving.embedded import EmbeddedServer  # noqa: E402
from plain_triton import extract, refusal  # noqa: E402
from server_under_test import ADMIN_TOKEN, LEXICONS, server_options  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

pytestmark = pytest.mark.server
TEXT = "霜桥发布了新产品。"


class Replica:
    """A running server, as callers and administrators see it."""

    def __init__(self, running):
        self.url = running.grpc_url
        self.client = tritonclient.InferenceServerClient(running.grpc_url)

    def push(self, name, words, **fields):
        content = Lexicon.from_words(words, trust="insist").to_bytes()
        return send_command(self.url, ADMIN_TOKEN, {"action": "push", "name": name, **fields}, content, timeout_s=120)

    def run(self, action, **fields):
        return send_command(self.url, ADMIN_TOKEN, {"action": action, **fields}, timeout_s=120)

    def answer(self, name):
        """Which version answered, and the types of 霜桥 that it found."""
        answered = extract(self.client, [TEXT], LEXICON_NAME=[name])
        (version,) = answered.versions
        return version.partition("+")[2], [each["type"] for each in answered.rows[0] if each["text"] == "霜桥"]


@pytest.fixture(scope="module")
def replicas(server, ensemble):
    """The two servers that all tests share: they have one directory of lexicons."""
    both = [Replica(server), Replica(ensemble)]
    yield both
    for each in both:
        each.client.close()


def lexicon_command(*arguments):
    done = CliRunner().invoke(application, ["lexicon", *map(str, arguments)])
    assert done.exit_code == 0, done.output


def test_what_is_pushed_to_one_is_used_by_both_from_the_next_call_on(replicas):
    for number in range(6):
        pushed_to = replicas[number % 2]
        kind = ("company", "game")[number % 2]
        version = pushed_to.push("pair_of_servers", {"霜桥": kind})["version"]
        assert version == number + 1
        assert [each.answer("pair_of_servers") for each in replicas] == [(f"pair_of_servers@{version}", [kind])] * 2
    replicas[1].run("rollback", name="pair_of_servers", version=3)
    assert [each.answer("pair_of_servers") for each in replicas] == [("pair_of_servers@3", ["company"])] * 2
    assert replicas[0].run("list") == replicas[1].run("list")


def test_pushes_through_both_at_once_get_numbers_of_their_own_and_the_last_is_in_use(replicas):
    ready = threading.Barrier(2)

    def push_many(replica):
        ready.wait()
        return [replica.push("crowd_of_pushes", {"霜桥": "company"})["version"] for _ in range(8)]

    with ThreadPoolExecutor(2) as pool:
        versions = [version for pushed in pool.map(push_many, replicas) for version in pushed]
    assert sorted(versions) == list(range(1, 17))
    assert [each.answer("crowd_of_pushes")[0] for each in replicas] == ["crowd_of_pushes@16"] * 2


def test_a_push_to_one_removes_old_versions_and_the_other_answers_on(replicas, lexicon_directory):
    first, second = replicas
    for _ in range(5):
        first.push("pruned_by_pushes", {"霜桥": "company"})
    assert second.answer("pruned_by_pushes")[0] == "pruned_by_pushes@5"
    pushed = first.push("pruned_by_pushes", {"霜桥": "game"}, keep=2)
    assert pushed["removed"] == [1, 2, 3, 4]
    assert sorted(path.name for path in (lexicon_directory / "pruned_by_pushes").glob("*.lex")) == ["5.lex", "6.lex"]
    assert second.answer("pruned_by_pushes") == ("pruned_by_pushes@6", ["game"])
    second.run("rollback", name="pruned_by_pushes")
    assert [each.answer("pruned_by_pushes") for each in replicas] == [("pruned_by_pushes@5", ["company"])] * 2
    assert first.push("pruned_by_pushes", {"霜桥": "game"}, keep=None)["removed"] == []


def test_without_a_word_on_it_a_push_keeps_twenty_versions(replicas):
    pushed = [replicas[0].push("twenty_kept", {"霜桥": "company"}) for _ in range(22)]
    assert [each["removed"] for each in pushed[-3:]] == [[], [1], [2]]


def test_what_is_removed_through_one_is_unknown_to_both_and_counts_on(replicas, server):
    first, second = replicas
    for number in (1, 2):
        assert first.push("removed_by_one", {"霜桥": "company"})["version"] == number
    assert [each.answer("removed_by_one")[0] for each in replicas] == ["removed_by_one@2"] * 2
    assert second.run("remove", name="removed_by_one") == {"name": "removed_by_one", "removed": [1, 2]}
    for each in replicas:
        assert refusal(each.client, [TEXT], LEXICON_NAME=["removed_by_one"]) == (
            "LEXICON_NAME: no lexicon 'removed_by_one' is installed"
        )
        assert "removed_by_one" not in {row["name"] for row in each.run("list")["lexicons"]}
        with pytest.raises(InvalidRequest, match="no lexicon 'removed_by_one' is installed"):
            each.run("rollback", name="removed_by_one", version=1)
        with pytest.raises(InvalidRequest, match="'base' is the lowest layer and cannot be removed"):
            each.run("remove", name="base")
    assert first.push("removed_by_one", {"霜桥": "game"})["version"] == 3
    assert [each.answer("removed_by_one") for each in replicas] == [("removed_by_one@3", ["game"])] * 2
    logged = "\n".join(server.last_log_lines(400))
    assert "push removed_by_one@3, by the admin token" in logged


def test_the_memory_of_what_is_removed_goes_back_though_nobody_asks_for_it(replicas, server, ensemble):
    # Words that take some 60 MB in each process that answers.
    generator = random.Random(5)
    words = {"".join(generator.choices("甲乙丙丁戊己庚辛壬癸子丑寅卯", k=12)): "company" for _ in range(250_000)}
    readers = [pid for each in (server, ensemble) for pid, what in each.processes.items() if what.startswith(READERS)]
    assert readers
    replicas[0].push("large_and_removed", words)
    for each in replicas:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _, each=each: each.answer("large_and_removed"), range(16)))
    held = {pid: resident_mib(pid) for pid in readers}
    replicas[1].run("remove", name="large_and_removed")
    assert wait_until(lambda: sum(held.values()) - sum(map(resident_mib, readers)) > 50)


READERS = ("extractor_", "preprocess_")


def resident_mib(pid):
    return psutil.Process(pid).memory_info().rss / 2**20


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return met


def test_what_is_restored_is_used_by_running_servers(replicas, lexicon_directory, tmp_path):
    replicas[0].push("backed_up", {"霜桥": "company"})
    replicas[0].push("backed_up", {"霜桥": "game"})
    # Exit code 1: other tests have left lexicons that cannot be read in this directory.
    done = CliRunner().invoke(
        application, ["lexicon", "backup", str(tmp_path / "saved.tar"), "--lexicon-dir", str(lexicon_directory)]
    )
    assert "backed_up@2 of versions 1, 2\n" in done.output
    replicas[0].push("backed_up", {"霜桥": "book"})
    assert [each.answer("backed_up") for each in replicas] == [("backed_up@3", ["book"])] * 2
    folder = lexicon_directory / "backed_up"
    (folder / "2.lex").write_bytes(b"\xff" * 500)
    (folder / "CURRENT").write_text("2\n")
    # What is broken is not used; the version before answers.
    assert [each.answer("backed_up") for each in replicas] == [("backed_up@3", ["book"])] * 2
    lexicon_command("restore", tmp_path / "saved.tar", "--lexicon-dir", lexicon_directory)
    assert [each.answer("backed_up") for each in replicas] == [("backed_up@2", ["game"])] * 2
    assert replicas[1].push("backed_up", {"霜桥": "name"})["version"] == 4
    shutil.rmtree(folder)
    lexicon_command("restore", tmp_path / "saved.tar", "--lexicon-dir", lexicon_directory)
    assert [each.answer("backed_up") for each in replicas] == [("backed_up@2", ["game"])] * 2


def test_a_server_on_a_restored_directory_answers_as_before(replicas, tmp_path):
    directory, restored = tmp_path / "lexicons", tmp_path / "restored"
    shutil.copytree(LEXICONS / "base", directory / "base")
    (tmp_path / "words.tsv").write_text("霜桥\tcompany\n", encoding="utf-8")
    push = ("push", "finance", tmp_path / "words.tsv", "--trust", "insist", "--lexicon-dir", directory)
    lexicon_command(*push)
    lexicon_command(*push)
    lexicon_command("backup", tmp_path / "saved.tar", "--lexicon-dir", directory)
    shutil.rmtree(directory)
    lexicon_command("restore", tmp_path / "saved.tar", "--lexicon-dir", restored)
    with EmbeddedServer(server_options(restored, start_timeout_s=300.0)) as running:
        replica = Replica(running)
        assert replica.answer("finance") == ("finance@2", ["company"])
        assert [(row["name"], row["version"]) for row in replica.run("list")["lexicons"]] == [
            ("base", 1),
            ("finance", 2),
        ]
        assert replica.run("rollback", name="finance")["version"] == 1
        assert replica.answer("finance") == ("finance@1", ["company"])
        replica.client.close()
