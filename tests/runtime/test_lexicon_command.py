"""``distillex lexicon`` on a directory: what would put a lexicon out of use unseen is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest
from distillex.command.main import application
from distillex.errors import RefusedError
from distillex.lexicon_administration import check_right, run_command
from distillex.lexicon_rights import LexiconRights
from distillex.locations import shipped_lexicons
from distillex_matcher import Lexicon, LexiconError
from distillex_matcher.lexicon_store import LexiconStore
from typer.testing import CliRunner


@pytest.fixture
def lexicon(tmp_path):
    def run(*arguments):
        done = CliRunner().invoke(
            application, [*map(str, ("lexicon", *arguments, "--lexicon-dir", tmp_path / "lexicons"))]
        )
        return done.exit_code, done.output

    return run


def test_a_list_without_a_word_puts_nothing_out_of_use(lexicon, tmp_path):
    words, empty = tmp_path / "words.tsv", tmp_path / "empty.tsv"
    words.write_text("闪电鲸\tcompany\n", encoding="utf-8")
    empty.write_text("# nothing yet\n", encoding="utf-8")
    assert lexicon("push", "whales", words) == (0, "whales@1: 1 words in use\n")
    code, output = lexicon("push", "whales", empty)
    assert (code, "holds no word: nothing is installed, what is in use stays" in output) == (1, True)
    assert (tmp_path / "lexicons" / "whales" / "CURRENT").read_text(encoding="utf-8") == "1\n"


@pytest.mark.parametrize("arguments", [("list",), ("rollback", "whales"), ("prune", "whales", "--keep", "1")])
def test_a_directory_that_is_not_there_is_no_empty_one(lexicon, tmp_path, arguments):
    code, output = lexicon(*arguments)
    assert code == 1
    assert f"{tmp_path / 'lexicons'}: the directory of lexicons does not exist" in output.replace("\n", "")


def test_a_server_and_a_directory_at_once_are_refused(lexicon):
    code, output = lexicon("list", "--url", "127.0.0.1:1")
    assert (code, "give one of them" in output) == (1, True)


def test_a_push_says_how_far_its_words_are_obeyed(lexicon, tmp_path):
    words, compiled = tmp_path / "words.tsv", tmp_path / "words.lex"
    words.write_text("闪电鲸\tcompany\n泛舟集\tbook\t1\t2.5\n", encoding="utf-8")
    Lexicon.from_words({"闪电鲸": {"type": "company", "trust": "hint"}, "泛舟集": "book"}, trust=7).save(compiled)

    def pushed():
        return LexiconStore(tmp_path / "lexicons").current("whales").lexicon

    for file, more, trust, shown, of_words in (
        (words, (), None, "-", [None, 2.5]),
        (words, ("--trust", "insist"), "insist", "insist", [None, 2.5]),
        (compiled, (), 7.0, "7", ["hint", None]),
        (compiled, ("--trust", "12.5"), 12.5, "12.5", ["hint", None]),
    ):
        code, output = lexicon("push", "whales", file, *more)
        assert code == 0, output
        assert pushed().trust == trust
        assert [entry.trust for entry in pushed()] == of_words
        code, output = lexicon("list")
        assert code == 0
        assert output.splitlines()[-2].strip("│ ").split("│")[-1].strip() == shown
    code, output = lexicon("push", "whales", words, "--trust", "must")
    assert code == 1
    assert "the trust 'must' is not accepted; hint, prefer, insist or a number from 0 to 1000 is" in " ".join(
        output.split()
    )
    assert LexiconStore(tmp_path / "lexicons").versions("whales") == [1, 2, 3, 4]


def test_inspect_shows_trust(tmp_path):
    words = tmp_path / "words.tsv"
    words.write_text("泛舟集\tbook\t1\t2.5\n闪电鲸\tcompany\n", encoding="utf-8")
    done = CliRunner().invoke(application, ["lexicon", "inspect", str(words)])
    assert "trust -" in " ".join(done.output.split())
    assert "泛舟集\tbook\t1.0000\t2.5\n闪电鲸\tcompany\t1.0000\n" in done.output


def test_an_empty_directory_is_seeded_with_what_is_shipped_and_a_used_one_stays(tmp_path):
    for _ in range(2):
        done = CliRunner().invoke(application, ["lexicon", "seed", str(tmp_path / "new")])
        assert done.exit_code == 0, done.output
    store = LexiconStore(tmp_path / "new")
    assert (store.names(), store.versions("base")) == (["base"], [1])
    assert (tmp_path / "new/base/1.lex").read_bytes() == (shipped_lexicons() / "base/1.lex").read_bytes()


def seed(directory):
    done = CliRunner().invoke(application, ["lexicon", "seed", str(directory)])
    return done.exit_code, " ".join(done.output.split())


def test_several_servers_that_seed_a_volume_at_once_install_one_version(tmp_path):
    command = [sys.executable, "-m", "distillex.command.main", "lexicon", "seed", str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = sorted(process.communicate()[0].strip() for process in running)
    assert [process.returncode for process in running] == [0, 0, 0]
    assert said[-1].startswith("base@1: ")
    assert said[:-1] == ["base: installed already"] * 2
    assert LexiconStore(tmp_path).versions("base") == [1]


def test_what_another_one_installs_while_the_seed_waits_for_its_turn_stays(tmp_path, monkeypatch):
    mine, theirs = (Lexicon.from_words({word: "company"}).to_bytes() for word in "甲乙")
    store = LexiconStore(tmp_path)
    lock = store._lock

    def taken_by_another(name):
        LexiconStore(tmp_path).install(name, theirs, lambda _: None)
        return lock(name)

    monkeypatch.setattr(store, "_lock", taken_by_another)
    assert store.install_missing("base", mine) is None
    assert (tmp_path / "base/1.lex").read_bytes() == theirs
    assert store.versions("base") == [1]


@pytest.mark.parametrize("left", ["1.lex", ".new-1", ".pending-1"])
def test_a_copy_that_was_broken_off_is_no_lexicon_in_use(tmp_path, left):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / left).write_bytes(b"half of it")
    code, said = seed(tmp_path)
    assert (code, "words in use" in said) == (0, True)
    assert len(LexiconStore(tmp_path).current("base").lexicon) > 300_000
    assert seed(tmp_path) == (0, "base: installed already")


def test_where_a_seed_cannot_write_it_says_where_and_why(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    code, said = seed(tmp_path / "file")
    assert code == 1
    assert "file: the lexicon base cannot be written: Not a directory" in said


def test_a_caller_with_rights_pushes_so_many_new_names_at_most(tmp_path, monkeypatch):
    monkeypatch.setattr("distillex.lexicon_administration.MOST_OWN", 2)
    store = LexiconStore(tmp_path)
    for name in ("base", "acme-one", "other", "acme-two"):
        store.install(name, Lexicon.from_words({"甲": "company"}).to_bytes(), lambda lexicon: None)
    own = LexiconRights(("acme-*",))
    with pytest.raises(RefusedError, match="there are 2 lexicons already under the names that this caller may push"):
        check_right(store, {"action": "push", "name": "acme-three"}, own)
    for command in ({"action": "push", "name": "acme-two"}, {"action": "prune", "name": "acme-one", "keep": 1}):
        check_right(store, command, own)
    check_right(store, {"action": "push", "name": "acme-three"}, LexiconRights(("acme-three",)))


def test_a_caller_may_push_under_so_many_names_at_most_that_were_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("distillex.lexicon_administration.MOST_OWN_EVER", 3)
    store, own = LexiconStore(tmp_path), LexiconRights(("acme-*",))
    for name in ("base", "acme-one", "other", "acme-two", "acme-three"):
        store.install(name, Lexicon.from_words({"甲": "company"}).to_bytes(), lambda lexicon: None)
    for name in ("acme-one", "acme-two", "other"):
        store.remove(name)
    with pytest.raises(RefusedError, match="3 names that this caller may push have been used, those of removed"):
        check_right(store, {"action": "push", "name": "acme-four"}, own)
    check_right(store, {"action": "push", "name": "acme-one"}, own)


def test_what_a_caller_with_rights_is_told_names_no_lexicon_of_others(tmp_path, monkeypatch):
    store, own = LexiconStore(tmp_path), LexiconRights(("acme-*",))
    for name in ("base", "acme-one", "rival-secret"):
        store.install(name, Lexicon.from_words({"甲": "company"}).to_bytes(), lambda lexicon: None)
    listed = run_command(store, {"action": "list"}, None, lambda _: None, own)["lexicons"]
    assert [line["name"] for line in listed] == ["acme-one"]
    gone = {"action": "prune", "name": "acme-one", "keep": 1}, {"action": "remove", "name": "acme-one"}
    names = store.names()
    for command in (*gone, {"action": "rollback", "name": "acme-one", "version": None}):
        if "acme-one" not in store.names():
            store.install("acme-one", Lexicon.from_words({"甲": "company"}).to_bytes(), lambda lexicon: None)
        store.remove("acme-one")
        # Another command removes it after this one has been looked for.
        answers = iter([names])
        with monkeypatch.context() as patched:
            patched.setattr(store, "names", lambda answers=answers: next(answers, ["base", "rival-secret"]))
            with pytest.raises(RefusedError) as refused:
                run_command(store, command, None, lambda _: None, own)
        assert str(refused.value) == 'no lexicon "acme-one" is installed'
        with pytest.raises(LexiconError, match="rival-secret"):
            run_command(store, command, None, lambda _: None)


def test_a_lexicon_is_removed_from_a_directory_and_its_name_counts_on(tmp_path):
    words = tmp_path / "words.tsv"
    words.write_text("闪电鲸\tcompany\n", encoding="utf-8")

    def lexicon(*arguments):
        done = CliRunner().invoke(application, ["lexicon", *arguments, "--lexicon-dir", str(tmp_path / "lexicons")])
        return done.exit_code, " ".join(done.output.split())

    for _ in range(2):
        lexicon("push", "whales", str(words))
    assert lexicon("rollback", "whales") == (0, "whales@1 is in use")
    assert lexicon("remove", "whales") == (0, "whales is removed: versions 1, 2")
    code, said = lexicon("remove", "whales")
    assert (code, "no lexicon 'whales' is installed; installed lexicons: none" in said) == (1, True)
    assert "whales@3: 1 words in use" in lexicon("push", "whales", str(words))[1]
    code, said = lexicon("remove", "base")
    assert (code, "'base' is the lowest layer and cannot be removed" in said) == (1, True)
