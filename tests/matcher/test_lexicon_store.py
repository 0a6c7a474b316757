"""The directory of lexicons: versions, what failed and killed pushes leave, what is in use."""

import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest
from distillex_matcher import Lexicon, LexiconError
from distillex_matcher.errors import LexiconNameError, UnknownLexiconError
from distillex_matcher.lexicon_store import LexiconStore

CONTENT = Lexicon.from_words({"甲": "n"}).to_bytes()


def accept(lexicon):
    pass


def refuse(lexicon):
    raise LexiconError("no")


@pytest.fixture
def store(tmp_path):
    return LexiconStore(tmp_path / "lexicons")


def files(store, name):
    return sorted(path.name for path in (store.directory / name).iterdir() if path.name != ".lock")


def test_versions_are_kept_and_rolled_back(store):
    assert store.install("a", CONTENT, accept).label == "a@1"
    held = store.current("a")
    assert store.install("a", CONTENT, accept).label == "a@2"
    assert (held.label, store.current("a").label) == ("a@1", "a@2")
    assert (store.names(), store.versions("a")) == (["a"], [1, 2])
    assert store.rollback("a") == 1
    with pytest.raises(UnknownLexiconError, match=r"no version to go back to; versions: \[1, 2\]"):
        store.rollback("a")
    assert files(store, "a") == ["1.lex", "2.lex", "CURRENT"]


def test_a_refused_push_changes_nothing_and_makes_no_folder(store):
    for name, content, check in (("a", CONTENT, refuse), ("a", CONTENT[:50], accept), ("A", CONTENT, accept)):
        with pytest.raises(LexiconError):
            store.install(name, content, check)
    assert not store.directory.exists()
    store.install("a", CONTENT, accept)
    with pytest.raises(LexiconError, match="no"):
        store.install("a", CONTENT, refuse)
    assert files(store, "a") == ["1.lex", "CURRENT"]


@pytest.mark.parametrize(
    "command",
    [lambda store: store.rollback("b"), lambda store: store.prune("b", 1), lambda store: store.remove("b")],
)
def test_commands_on_an_unknown_name_create_nothing_and_say_what_is_installed(store, command):
    store.install("a", CONTENT, accept)
    with pytest.raises(UnknownLexiconError, match="no lexicon 'b' is installed; installed lexicons: a"):
        command(store)
    assert [path.name for path in store.directory.iterdir()] == ["a"]


def test_a_removed_lexicon_is_unknown_and_its_numbers_are_not_given_again(store):
    for _ in range(3):
        store.install("a", CONTENT, accept)
    store.rollback("a", 1)
    assert store.remove("a") == [1, 2, 3]
    assert (store.names(), store.versions("a"), files(store, "a")) == ([], [], ["LAST"])
    for ask in (lambda: store.current("a"), lambda: store.rollback("a", 1), lambda: store.remove("a")):
        with pytest.raises(UnknownLexiconError, match="no lexicon 'a' is installed"):
            ask()
    assert store.install("a", CONTENT, accept).label == "a@4"
    assert store.remove("a") == [4]
    assert store.install("a", CONTENT, accept).label == "a@5"
    with pytest.raises(UnknownLexiconError, match=r"no version to go back to; versions: \[5\]"):
        store.rollback("a")


def test_the_base_lexicon_is_not_removed(store):
    store.install("base", CONTENT, accept)
    with pytest.raises(LexiconError, match="'base' is the lowest layer and cannot be removed"):
        store.remove("base")
    assert store.current("base").label == "base@1"


def test_a_lexicon_that_nobody_can_read_is_removed_too(store):
    store.install("a", CONTENT, accept)
    (store.directory / "a" / "CURRENT").write_bytes(b"?\n")
    assert store.remove("a") == [1]
    assert store.names() == []


def test_what_others_removed_is_let_go_of_without_being_asked_for(store):
    for name in ("base", "a", "b"):
        store.install(name, CONTENT, accept)
    reader = LexiconStore(store.directory)
    for name in ("base", "a", "b"):
        reader.current(name)
    store.remove("a")
    assert reader.held() == ["base", "a", "b"]
    reader.let_go_of_removed()
    assert reader.held() == ["base", "b"]


REMOVER = """
import os, signal, sys
from distillex_matcher.lexicon_store import LexiconStore
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "before the number is kept": os.fsync = die
else:
    import pathlib
    real = pathlib.Path.unlink
    def unlink(path, *arguments, **named):
        if path.name == sys.argv[2]: die()
        real(path, *arguments, **named)
    pathlib.Path.unlink = unlink
LexiconStore(sys.argv[1]).remove("a")
"""


@pytest.mark.parametrize(
    ("moment", "installed"),
    [("before the number is kept", True), ("CURRENT", True), ("1.lex", False), ("2.lex", False)],
)
def test_a_removal_that_is_killed_has_removed_all_or_nothing(store, moment, installed):
    for _ in range(2):
        store.install("a", CONTENT, accept)
    done = subprocess.run([sys.executable, "-c", REMOVER, str(store.directory), moment])
    assert done.returncode == -signal.SIGKILL
    assert store.names() == (["a"] if installed else [])
    if installed:
        assert store.current("a").label == "a@2"
        assert store.remove("a") == [1, 2]
    # What was left goes with the next command, and is no version to go back to.
    assert store.install("a", CONTENT, accept).label == "a@3"
    assert files(store, "a") == ["3.lex", "CURRENT", "LAST"]


def test_readers_are_not_told_what_else_is_installed(store):
    store.install("a", CONTENT, accept)
    with pytest.raises(UnknownLexiconError) as refused:
        store.current("b")
    assert str(refused.value) == "no lexicon 'b' is installed"
    with pytest.raises(LexiconNameError):
        store.current("../a")


def test_a_full_disk_leaves_nothing_and_the_old_version_in_use(store, monkeypatch):
    store.install("a", CONTENT, accept)
    # What a full disk does to each of the steps in turn.
    for module, step in (("os", "fsync"), ("pathlib.Path", "replace"), ("pathlib.Path", "touch")):
        with monkeypatch.context() as patched:
            patched.setattr(f"{module}.{step}", full_disk)
            with pytest.raises(OSError, match="No space left"):
                store.install("a", CONTENT, accept)
        assert files(store, "a") == ["1.lex", "CURRENT"]
    assert store.install("a", CONTENT, accept).version == 2


def full_disk(*_):
    raise OSError(28, "No space left on device")


KILLED = """
import os, signal, sys
from distillex_matcher import Lexicon
from distillex_matcher.lexicon_store import LexiconStore
import distillex_matcher.lexicon_store as module
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "before it is written": os.fsync = die
if sys.argv[2] == "before it is in use": module.write_atomically = die
if sys.argv[2] == "while CURRENT is written":
    sound = os.fsync
    counted = iter([sound, die])
    os.fsync = lambda descriptor: next(counted)(descriptor)
LexiconStore(sys.argv[1]).install("a", Lexicon.from_words({"乙": "n"}).to_bytes(), lambda lexicon: None)
"""


@pytest.mark.parametrize(
    ("moment", "left"),
    [
        ("before it is written", 1),
        ("before it is in use", 2),
        ("while CURRENT is written", 3),
    ],
)
def test_what_a_killed_push_left_is_gone_with_the_next_one(store, moment, left):
    store.install("a", CONTENT, accept)
    store.install("a", CONTENT, accept)
    done = subprocess.run([sys.executable, "-c", KILLED, str(store.directory), moment])
    assert done.returncode == -signal.SIGKILL
    assert len(files(store, "a")) == 3 + left
    assert store.current("a").label == "a@2"
    # A version that nobody ever used is none to go back to.
    assert store.install("a", CONTENT, accept).version == 3
    assert files(store, "a") == ["1.lex", "2.lex", "3.lex", "CURRENT"]
    assert store.rollback("a") == 2


def test_a_push_that_was_killed_when_its_version_was_in_use_keeps_it(store):
    store.install("a", CONTENT, accept)
    (store.directory / "a" / ".pending-1").touch()
    store.install("a", CONTENT, accept)
    assert files(store, "a") == ["1.lex", "2.lex", "CURRENT"]


def test_a_push_waits_for_another_and_leaves_its_files_alone(store):
    store.install("a", CONTENT, accept)
    folder = store.directory / "a"
    code = (
        "import sys; from distillex_matcher.lexicon_store import LexiconStore; from distillex_matcher import Lexicon;"
        "print('begun', flush=True);"
        "LexiconStore(sys.argv[1]).install('a', Lexicon.from_words({'乙': 'n'}).to_bytes(), lambda lexicon: None)"
    )
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / ".new-ours").touch()
        other = subprocess.Popen([sys.executable, "-c", code, str(store.directory)], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        time.sleep(0.3)
        assert other.poll() is None
        assert files(store, "a") == [".new-ours", "1.lex", "CURRENT"]
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert other.wait(30) == 0
        other.stdout.close()
    assert files(store, "a") == ["1.lex", "2.lex", "CURRENT"]


def test_files_of_others_are_left_alone(store):
    store.install("a", CONTENT, accept)
    for name in ("notes.txt", "07.lex", "x.lex", "²".encode(), "1.lex.bak"):
        (store.directory / "a" / os.fsdecode(name)).write_bytes(CONTENT)
    assert store.versions("a") == [1]
    store.install("a", CONTENT, accept)
    store.install("a", CONTENT, accept)
    assert store.prune("a", 1) == [1]
    assert {"notes.txt", "07.lex", "x.lex", "1.lex.bak", "2.lex", "3.lex"} <= set(files(store, "a"))


def test_pruning_keeps_the_newest_the_one_in_use_and_the_one_just_before(store):
    for _ in range(6):
        store.install("a", CONTENT, accept)
    store.rollback("a", 3)
    assert store.prune("a", 2) == [1, 4]
    assert (store.versions("a"), store.current("a").version) == ([2, 3, 5, 6], 3)
    assert store.prune("a", 2) == []
    assert store.rollback("a") == 2
    with pytest.raises(LexiconError, match="0 versions cannot be kept"):
        store.prune("a", 0)
    (store.directory / "a" / "CURRENT").write_text("?")
    with pytest.raises(LexiconError, match="holds b'\\?', which is not a version number"):
        store.prune("a", 1)
    assert store.versions("a") == [2, 3, 5, 6]


def test_a_push_removes_old_versions_but_never_the_one_that_it_replaces(store):
    for _ in range(4):
        assert store.install("a", CONTENT, accept).removed == ()
    store.rollback("a", 1)
    pushed = store.install("a", CONTENT, accept, keep=2)
    assert (pushed.version, pushed.removed) == (5, (2, 3))
    assert store.versions("a") == [1, 4, 5]
    assert store.install("a", CONTENT, accept, keep=1).removed == (1, 4)
    assert store.versions("a") == [5, 6]


def test_a_push_whose_old_versions_cannot_be_removed_is_in_use_all_the_same(store, monkeypatch):
    for _ in range(3):
        store.install("a", CONTENT, accept)
    remove = type(store.directory).unlink

    def refuse_versions(path, missing_ok=False):
        if path.suffix == ".lex":
            raise PermissionError(13, "Permission denied")
        remove(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.unlink", refuse_versions)
        assert store.install("a", CONTENT, accept, keep=1).version == 4
    assert (store.current("a").version, store.versions("a")) == (4, [1, 2, 3, 4])


def test_a_rollback_to_a_broken_version_is_refused_and_one_to_a_sound_one_mends_current(store):
    store.install("a", CONTENT, accept)
    store.install("a", CONTENT, accept)
    (store.directory / "a" / "1.lex").write_bytes(CONTENT[:-5])
    with pytest.raises(LexiconError, match="lexicon a@1: truncated"):
        store.rollback("a")
    assert store.current_version("a") == 2
    (store.directory / "a" / "CURRENT").write_text("?")
    assert store.rollback("a", 2) == 2
    assert store.current("a").label == "a@2"


def test_a_version_that_cannot_be_read_is_tried_again_when_its_file_changes(store, monkeypatch):
    store.install("a", CONTENT, accept)
    held = store.current("a")
    path = store.directory / "a" / "2.lex"
    path.write_bytes(CONTENT[:-1])
    (store.directory / "a" / "CURRENT").write_text("2\n")
    reads = []
    opened = store.open
    monkeypatch.setattr(store, "open", lambda *wanted: reads.append(wanted) or opened(*wanted))
    for _ in range(3):
        with pytest.raises(LexiconError, match="lexicon a@2: truncated"):
            store.current("a")
    assert reads == [("a", 2)]
    assert store.fallback("a") is held
    path.write_bytes(CONTENT)
    assert store.current("a").label == "a@2"


def test_whoever_comes_later_falls_back_to_the_newest_version_that_can_be_read(store):
    for _ in range(3):
        store.install("a", CONTENT, accept)
    (store.directory / "a" / "3.lex").write_bytes(CONTENT[:-1])
    later = LexiconStore(store.directory)
    with pytest.raises(LexiconError, match="lexicon a@3: truncated"):
        later.current("a")
    assert later.fallback("a").label == "a@2"
    with pytest.raises(LexiconError, match="lexicon a@3: truncated"):
        later.current("a")
    assert later.fallback("a").label == "a@2"
    assert LexiconStore(store.directory / "nowhere").fallback("a") is None


def test_a_version_pruned_between_two_looks_of_a_reader_is_not_missed(store, monkeypatch):
    store.install("a", CONTENT, accept)
    version = store.current_version("a")
    store.install("a", CONTENT, accept)
    store.install("a", CONTENT, accept)
    assert store.prune("a", 1) == [version]
    answers = iter([version, 3])
    monkeypatch.setattr(store, "current_version", lambda name: next(answers))
    assert store.current("a").label == "a@3"


def test_the_base_lexicon_is_replaced_only_by_those_who_say_so(store):
    assert store.install("base", CONTENT, accept).version == 1
    with pytest.raises(LexiconError, match=r"its 1 words by 1; .*--replace-base"):
        store.install("base", CONTENT, accept)
    assert store.install("base", CONTENT, accept, replace_base=True).version == 2


def test_errors_hold_no_path(store):
    store.install("a", CONTENT, accept)
    (store.directory / "a" / "1.lex").write_bytes(CONTENT[:-1])
    for break_it in (lambda path: path.write_text("?"), lambda path: path.write_text("9"), lambda path: None):
        break_it(store.directory / "a" / "CURRENT")
        with pytest.raises(LexiconError) as refused:
            store.current("a")
        assert "/" not in str(refused.value)
    assert [(line.name, line.words, "/" in line.problem) for line in store.overview()] == [("a", None, False)]


def test_of_many_lexicons_those_asked_for_last_are_held_and_base_always(store):
    for name in ("base", "a", "b", "c"):
        store.install(name, CONTENT, accept)
    few = LexiconStore(store.directory, most_bytes=3 * len(CONTENT))
    base, first = few.current("base"), few.current("a")
    few.current("b")
    assert few.current("a") is first
    few.current("c")
    assert few.held() == ["base", "a", "c"]
    assert few.current("base") is base
    assert few.current("b").label == "b@1"
    assert set(few.held()) == {"base", "c", "b"}
    assert few.current("a") is not first


def test_a_lexicon_larger_than_what_is_held_is_held_alone(store):
    for name in ("base", "a", "b"):
        store.install(name, CONTENT, accept)
    none = LexiconStore(store.directory, most_bytes=1)
    held = none.current("base"), none.current("a")
    assert (none.current("base"), none.current("a")) == held
    none.current("b")
    assert set(none.held()) == {"base", "b"}
