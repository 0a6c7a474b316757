"""``distillex lexicon backup`` and ``restore``: what comes back, and what is refused."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import tarfile

import pytest
from distillex.command.main import application
from distillex.errors import RefusedError
from distillex.lexicon_backup import SUMS_FILE, restore_backup, write_backup
from distillex_matcher import Lexicon
from distillex_matcher.layout import write_durably
from distillex_matcher.lexicon_store import LexiconStore
from typer.testing import CliRunner

COMMAND = [sys.executable, "-m", "distillex.command.main", "lexicon"]


def content(*words):
    return Lexicon.from_words(dict.fromkeys(words, "company")).to_bytes()


def push(store, name, *words):
    return store.install(name, content(*words), lambda _: None).version


def words(store, name):
    lexicon = store.current(name).lexicon
    return sorted(lexicon[i].word for i in range(len(lexicon)))


def tree(store):
    files = (path for path in store.directory.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(store.directory)): path.read_bytes() for path in files}


def folders(store):
    return sorted(path.name for path in store.directory.iterdir() if path.name != ".lock")


@pytest.fixture
def store(tmp_path):
    """Two lexicons, of which one was rolled back."""
    store = LexiconStore(tmp_path / "lexicons")
    for word in ("甲公司", "乙公司", "丙公司"):
        push(store, "finance", word)
    store.rollback("finance", 2)
    push(store, "whales", "闪电鲸")
    return store


@pytest.fixture
def saved(store):
    file = io.BytesIO()
    write_backup(store, file)
    return file.getvalue()


def test_a_backup_brings_everything_back_into_an_empty_directory(store, saved, tmp_path):
    empty = LexiconStore(tmp_path / "new" / "lexicons")
    restored = restore_backup(empty, io.BytesIO(saved))
    assert [(each.name, each.in_use) for each in restored] == [("finance", 2), ("whales", 1)]
    assert tree(empty) == tree(store)
    assert (words(empty, "finance"), empty.rollback("finance")) == (["乙公司"], 1)


def test_the_numbers_of_removed_lexicons_are_not_given_again_after_a_restore(store, tmp_path):
    store.remove("finance")
    push(store, "whales", "闪电鲸")
    store.remove("whales")
    push(store, "whales", "蓝鲸")
    file = io.BytesIO()
    assert [(each.name, each.in_use, each.versions) for each in write_backup(store, file)] == [("whales", 3, [3])]
    empty = LexiconStore(tmp_path / "new")
    assert [each.name for each in restore_backup(empty, io.BytesIO(file.getvalue()))] == ["whales"]
    assert tree(empty) == tree(store)
    assert push(empty, "finance", "甲公司") == 4


def test_a_restore_brings_a_lexicon_back_that_was_removed_since(store, saved):
    before = tree(store)
    store.remove("finance")
    restore_backup(store, io.BytesIO(saved))
    assert tree(store) == before | {"finance/LAST": b"3\n"}
    assert (words(store, "finance"), push(store, "finance", "丁公司")) == (["乙公司"], 4)


def test_a_lexicon_that_is_removed_while_a_backup_is_written_is_no_problem(store, monkeypatch):
    listed = store.names()
    monkeypatch.setattr(store, "names", lambda: listed)
    store.remove("finance")
    assert [(each.name, each.problems) for each in write_backup(store, io.BytesIO())] == [("whales", [])]


def test_the_commands_read_and_write_files_and_pipes(store, tmp_path):
    directory = ("--lexicon-dir", str(store.directory))
    done = CliRunner().invoke(application, ["lexicon", "backup", str(tmp_path / "saved.tar"), *directory])
    assert done.exit_code == 0, done.output
    assert "finance@2 of versions 1, 2, 3" in done.output
    piped = subprocess.run([*COMMAND, "backup", "-", *directory], capture_output=True, check=True).stdout
    assert piped == (tmp_path / "saved.tar").read_bytes()
    new = tmp_path / "new"
    done = subprocess.run([*COMMAND, "restore", "-", "--lexicon-dir", str(new)], input=piped, capture_output=True)
    assert (done.returncode, done.stdout.decode()) == (0, "finance@2 is in use\nwhales@1 is in use\n")
    assert tree(LexiconStore(new)) == tree(store)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lexicons", "new", "saved.tar"]


def test_the_sums_are_those_that_sha256sum_checks(saved, tmp_path):
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        archive.extractall(tmp_path, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(tmp_path)
    done = subprocess.run(["sha256sum", "--check", "--strict", SUMS_FILE], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": OK") == 6


def test_what_was_pushed_since_stays_and_the_next_push_takes_a_new_number(store, saved):
    push(store, "finance", "丁公司")
    push(store, "later", "戊公司")
    restore_backup(store, io.BytesIO(saved))
    assert (words(store, "finance"), store.versions("finance")) == (["乙公司"], [1, 2, 3, 4])
    assert (words(store, "later"), push(store, "finance", "己公司")) == (["戊公司"], 5)


def test_a_number_that_another_version_has_taken_is_not_given_twice(saved, tmp_path):
    other = LexiconStore(tmp_path / "other")
    for word in ("子公司", "丑公司"):
        push(other, "finance", word)
    (tmp_path / "saved.tar").write_bytes(saved)
    arguments = ["lexicon", "restore", str(tmp_path / "saved.tar"), "--lexicon-dir", str(other.directory)]
    done = CliRunner().invoke(application, arguments)
    assert done.exit_code == 0, done.output
    assert "finance@4 is in use (in the backup 2: another version has that number)" in done.output
    assert (words(other, "finance"), other.versions("finance")) == (["乙公司"], [1, 2, 3, 4])
    other.rollback("finance", 2)
    assert words(other, "finance") == ["丑公司"]


def test_a_file_that_cannot_be_read_any_more_is_replaced(store, saved):
    before = tree(store)
    for path, broken in (("finance/2.lex", b"\xff" * 300), ("whales/1.lex", b""), ("finance/CURRENT", b"?\n")):
        (store.directory / path).write_bytes(broken)
    restore_backup(store, io.BytesIO(saved))
    assert tree(store) == before


def test_what_is_there_already_needs_no_room(store, saved, monkeypatch):
    """On a disk that is full, what is missing and small comes back beside what is large and there."""
    before = tree(store)
    (store.directory / "finance" / "CURRENT").write_bytes(b"?\n")
    (store.directory / "whales" / "1.lex").write_bytes(b"")
    written = []

    def write(folder, prefix, data):
        written.append(data)
        return write_durably(folder, prefix, data)

    monkeypatch.setattr("distillex.lexicon_backup.write_durably", write)
    restore_backup(store, io.BytesIO(saved))
    assert written == [before["whales/1.lex"]]
    assert tree(store) == before


def test_restored_files_are_read_by_servers_of_other_users(saved, tmp_path):
    empty = LexiconStore(tmp_path / "empty")
    before = os.umask(0o077)
    try:
        restore_backup(empty, io.BytesIO(saved))
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((empty.directory / name).stat().st_mode) for name in tree(empty)}
    assert modes == dict.fromkeys(modes, 0o644)
    assert len(modes) == 6


def test_a_version_is_on_the_disk_before_it_is_in_use(saved, tmp_path, monkeypatch):
    synced = set()
    sync, restore = os.fsync, LexiconStore.restore

    def fsync(descriptor):
        synced.add(os.fstat(descriptor).st_ino)
        sync(descriptor)

    def checked(self, name, files, in_use):
        assert {path.stat().st_ino for path in files.values()} <= synced
        return restore(self, name, files, in_use)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(LexiconStore, "restore", checked)
    assert restore_backup(LexiconStore(tmp_path / "empty"), io.BytesIO(saved))


def test_what_a_killed_restore_left_is_removed(store, saved):
    left = store.directory / ".restore-killed"
    left.mkdir()
    (left / "finance-1").write_bytes(b"half of it")
    restore_backup(store, io.BytesIO(saved))
    assert folders(store) == ["finance", "whales"]


def test_a_version_that_a_push_removes_during_the_restore_comes_back(store, saved, monkeypatch):
    restore = LexiconStore.restore

    def after_pushes(self, name, files, in_use):
        other = LexiconStore(store.directory)
        for word in ("戊公司", "己公司", "庚公司"):
            other.install(name, content(word), lambda _: None, keep=1)
        return restore(self, name, files, in_use)

    monkeypatch.setattr(LexiconStore, "restore", after_pushes)
    restored = restore_backup(store, io.BytesIO(saved))
    assert [(each.name, each.in_use) for each in restored] == [("finance", 2), ("whales", 1)]
    assert (words(store, "finance"), words(store, "whales")) == (["乙公司"], ["闪电鲸"])


def test_what_cannot_be_read_is_said_and_the_rest_is_saved(store, tmp_path):
    (store.directory / "finance" / "2.lex").write_bytes(b"\xff" * 300)
    (store.directory / "whales" / "CURRENT").write_text("?")
    (store.directory / "lost").mkdir()
    (store.directory / "lost" / "CURRENT").write_text("1\n")
    arguments = ["lexicon", "backup", str(tmp_path / "saved.tar"), "--lexicon-dir", str(store.directory)]
    done = CliRunner().invoke(application, arguments)
    assert done.exit_code == 1
    said = " ".join(done.output.split())
    assert "lexicon finance@2: not a lexicon file" in said
    assert "lexicon 'whales': its file CURRENT holds b'?'" in said
    new = LexiconStore(tmp_path / "new")
    with (tmp_path / "saved.tar").open("rb") as file:
        restored = restore_backup(new, file)
    # The newest that can be read stands for what was in use, as it does in a server.
    assert [(each.name, each.in_use) for each in restored] == [("finance", 3), ("whales", 1)]
    assert new.versions("finance") == [1, 3]


def backed_up(store):
    file = io.BytesIO()
    found = {each.name: each for each in write_backup(store, file)}
    restored = restore_backup(LexiconStore(store.directory.parent / "copy"), io.BytesIO(file.getvalue()))
    return found, {each.name: each.in_use for each in restored}


@pytest.mark.parametrize("lost", ["finance/2.lex", "finance/1.lex", "finance/CURRENT"])
def test_a_file_that_the_system_cannot_read_is_said_and_the_rest_is_saved(store, lost):
    # A folder in its place: root may read every file.
    (store.directory / lost).unlink()
    (store.directory / lost).mkdir()
    found, restored = backed_up(store)
    (problem,) = found["finance"].problems
    assert lost.split("/")[1].removesuffix(".lex") in problem
    assert "Is a directory" in problem
    assert found["whales"].problems == []
    assert restored == {"finance": 2 if lost == "finance/1.lex" else 3, "whales": 1}


def test_a_version_in_use_that_is_missing_is_said(store):
    (store.directory / "finance" / "2.lex").unlink()
    (store.directory / "whales" / "1.lex").unlink()
    found, restored = backed_up(store)
    assert found["finance"].problems == ["lexicon finance@2: it is in use, and its file is missing"]
    assert found["whales"].problems == ["lexicon whales@1: it is in use, and its file is missing"]
    assert (found["whales"].versions, restored) == ([], {"finance": 3})


def test_a_version_that_pushes_remove_while_it_is_looked_for_is_no_problem(store, monkeypatch):
    look = LexiconStore.current_version
    pushed = []

    def current_version(self, name):
        version = look(self, name)
        if self is store and name == "whales" and not pushed:
            pushed.append(name)
            other = LexiconStore(store.directory)
            for word in ("戊公司", "己公司", "庚公司"):
                other.install("whales", content(word), lambda _: None, keep=1)
        return version

    monkeypatch.setattr(LexiconStore, "current_version", current_version)
    found, restored = backed_up(store)
    assert (found["whales"].problems, found["whales"].in_use, restored["whales"]) == ([], 4, 4)


def test_a_version_in_use_whose_push_has_not_tidied_up_yet_is_saved(store):
    (store.directory / "whales" / ".pending-1").touch()
    found, restored = backed_up(store)
    assert (found["whales"].problems, restored["whales"]) == ([], 1)


def test_a_version_that_no_push_finished_is_not_saved(store, tmp_path):
    (store.directory / "finance" / "4.lex").write_bytes(content("庚公司"))
    (store.directory / "finance" / ".pending-4").touch()
    file = io.BytesIO()
    write_backup(store, file)
    new = LexiconStore(tmp_path / "new")
    restore_backup(new, io.BytesIO(file.getvalue()))
    assert new.versions("finance") == [1, 2, 3]


def rewritten(saved, change):
    """The archive with members that ``change`` gives: a path and bytes → the same, others, or None."""
    file = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(saved)) as old, tarfile.open(fileobj=file, mode="w") as new:
        for member in old:
            found = change(member.name, old.extractfile(member).read())
            if found is not None:
                member.name, bytes_ = found
                member.size = len(bytes_)
                new.addfile(member, io.BytesIO(bytes_))
    return file.getvalue()


BROKEN = {
    "cut in a member": (lambda saved: saved[:900], "not a backup of lexicons, or a broken one"),
    "cut between members": (
        lambda saved: rewritten(saved, lambda path, found: (path, found) if path != SUMS_FILE else None),
        "the backup is cut short: it has no SHA256SUMS",
    ),
    "no tar": (lambda saved: b"x" * 2000, "not a backup of lexicons, or a broken one"),
    "empty": (lambda saved: b"", "not a backup of lexicons, or a broken one"),
    "another version in use": (
        lambda saved: rewritten(saved, lambda path, found: (path, b"1\n" if path == "finance/CURRENT" else found)),
        "finance/CURRENT is not what SHA256SUMS says",
    ),
    "a version is missing": (
        lambda saved: rewritten(saved, lambda path, found: None if path == "finance/1.lex" else (path, found)),
        "finance/1.lex is not what SHA256SUMS says",
    ),
    "a broken lexicon": (
        lambda saved: rewritten(saved, lambda path, found: (path, found[:-9] if path == "finance/1.lex" else found)),
        "truncated",
    ),
    "a path out of it": (
        lambda saved: rewritten(saved, lambda path, found: (path.replace("whales", ".."), found)),
        "'../1.lex' is not part of a backup",
    ),
    "another file": (
        lambda saved: rewritten(saved, lambda path, found: (path.replace("1.lex", "1.txt"), found)),
        "'finance/1.txt' is not part of a backup",
    ),
}


@pytest.mark.parametrize(("broken", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_backup_changes_nothing(store, saved, broken, message):
    push(store, "finance", "丁公司")
    before = tree(store)
    with pytest.raises(RefusedError) as refused:
        restore_backup(store, io.BytesIO(broken(saved)))
    assert message in str(refused.value)
    assert "nothing was changed" in str(refused.value)
    assert tree(store) == before
    assert folders(store) == ["finance", "whales"]


def test_a_backup_beside_pushes_is_whole(store):
    """Versions that come and go while it is written do not break it."""

    class Busy(io.BytesIO):
        def write(self, data):
            store.install("finance", content("辛公司"), lambda _: None, keep=1)
            return super().write(data)

    for _ in range(4):
        file = Busy()
        assert [each.problems for each in write_backup(store, file)] == [[], []]
        for each in restore_backup(LexiconStore(store.directory / "copy"), io.BytesIO(file.getvalue())):
            assert each.saved_as >= 1
