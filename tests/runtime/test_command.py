"""The ``distillex`` command."""

import subprocess
import sys

import pytest
from distillex_matcher import Lexicon


def distillex(*arguments, code="from distillex.command.main import run; run()"):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_help_lists_the_commands_and_imports_none_of_their_parts():
    code = (
        "import atexit, sys; atexit.register(lambda: print([m for m in ('torch', 'onnxruntime') if m in sys.modules]));"
        "from distillex.command.main import run; run()"
    )
    done = distillex("--help", code=code)
    assert done.returncode == 0
    for name in (
        *("serve", "lexicon", "data", "label", "finetune", "distill", "average", "calibrate", "evaluate", "export"),
    ):
        assert name in done.stdout
    assert done.stdout.strip().endswith("[]")


def test_a_missing_package_is_named_with_the_extra_that_brings_it():
    code = "import sys; sys.modules['torch'] = None; from distillex.command.main import run; run()"
    done = distillex("finetune", "--help", code=code)
    assert done.returncode == 1
    assert "pip install 'distillex[train]'" in done.stderr


def test_serving_needs_no_torch():
    code = "import sys; sys.modules['torch'] = None; from distillex.command.main import run; run()"
    assert distillex("serve", "--help", code=code).returncode == 0


def test_labelled_files_are_checked_without_torch(tmp_path):
    line = '{"text": "甲乙", "entities": [{"start": 0, "end": 2, "type": "name"}]}\n'
    (tmp_path / "train.jsonl").write_text(line, encoding="utf-8")
    code = "import sys; sys.modules['torch'] = None; from distillex.command.main import run; run()"
    done = distillex("data", "check", str(tmp_path / "train.jsonl"), code=code)
    assert (done.returncode, done.stdout) == (0, "0 errors, 0 warnings\n"), done.stderr


def test_lexicon_build_makes_the_same_file_twice_and_inspect_shows_it(tmp_path):
    dictionary, words = tmp_path / "dict.txt", tmp_path / "words.tsv"
    dictionary.write_text("北京 100 ns\n大学 20 n\n的 9 uj\n了 9 uj\n", encoding="utf-8")
    words.write_text("青石云科\tcompany\n", encoding="utf-8")
    for name in ("a.lex", "b.lex"):
        done = distillex("lexicon", "build", "-o", str(tmp_path / name), "--dictionary", str(dictionary), str(words))
        assert done.returncode == 0, done.stderr
        assert "3 words, 3 types" in done.stdout
        assert "2 words of the dictionary left out, such as '的': a single character is found everywhere" in done.stdout
    assert (tmp_path / "a.lex").read_bytes() == (tmp_path / "b.lex").read_bytes()
    shown = distillex("lexicon", "inspect", str(tmp_path / "a.lex")).stdout
    assert "name base, version 1" in shown
    assert "company" in shown


@pytest.mark.parametrize("line", ["只有词", "词\tplanet\t7"])
def test_lexicon_build_names_a_bad_line(tmp_path, line):
    words = tmp_path / "words.tsv"
    words.write_text(line + "\n", encoding="utf-8")
    (tmp_path / "dict.txt").write_text("北京 100 ns\n", encoding="utf-8")
    done = distillex(
        "lexicon", "build", "-o", str(tmp_path / "a.lex"), "--dictionary", str(tmp_path / "dict.txt"), str(words)
    )
    assert done.returncode == 2
    assert "words.tsv:1: " in done.stderr


def test_lexicon_push_list_rollback_and_prune_work_on_a_directory(tmp_path):
    words = tmp_path / "words.tsv"
    words.write_text("青石云科\tcompany\n", encoding="utf-8")
    directory = ["--lexicon-dir", str(tmp_path / "lexicons")]
    for version in (1, 2):
        done = distillex("lexicon", "push", "finance", str(words), *directory)
        assert done.stdout.strip() == f"finance@{version}: 1 words in use", done.stderr
    assert "finance" in distillex("lexicon", "list", *directory).stdout
    assert distillex("lexicon", "rollback", "finance", *directory).stdout.strip() == "finance@1 is in use"
    assert (tmp_path / "lexicons" / "finance" / "CURRENT").read_text().strip() == "1"
    assert len(Lexicon.load(tmp_path / "lexicons" / "finance" / "2.lex")) == 1
    done = distillex("lexicon", "prune", "finance", "--keep", "1", *directory)
    assert done.stdout.strip() == "finance: 0 versions removed, kept: 1, 2", done.stderr
    distillex("lexicon", "push", "finance", str(words), *directory)
    done = distillex("lexicon", "prune", "finance", "--keep", "1", *directory)
    assert done.stdout.strip() == "finance: 1 versions removed, kept: 2, 3", done.stderr
    for command in (["rollback", "unknown"], ["prune", "unknown", "--keep", "1"]):
        done = distillex("lexicon", *command, *directory)
        assert done.returncode == 1
        assert "no lexicon 'unknown' is installed; installed lexicons: finance" in done.stderr
    assert not (tmp_path / "lexicons" / "unknown").exists()
    words.write_text("青石云科\tplanet\n", encoding="utf-8")
    done = distillex("lexicon", "push", "finance", str(words), *directory)
    assert done.returncode == 1
    assert "unknown lexicon type 'planet'" in done.stderr


def test_lexicon_push_onto_base_needs_a_word_more(tmp_path):
    words = tmp_path / "words.tsv"
    words.write_text("青石云科\tcompany\n北京\tns\n", encoding="utf-8")
    push = ["lexicon", "push", "base", str(words), "--lexicon-dir", str(tmp_path / "lexicons")]
    assert distillex(*push).stdout.strip() == "base@1: 2 words in use"
    done = distillex(*push)
    assert done.returncode == 1
    assert "a push to base would replace its 2 words by 2; push under another" in done.stderr
    assert distillex(*push, "--replace-base").stdout.strip() == "base@2: 2 words in use"


def test_lexicon_list_shows_what_is_broken_beside_what_is_not(tmp_path):
    words, directory = tmp_path / "words.tsv", ["--lexicon-dir", str(tmp_path / "lexicons")]
    words.write_text("青石云科\tcompany\n", encoding="utf-8")
    for name in ("finance", "sports"):
        distillex("lexicon", "push", name, str(words), *directory)
    (tmp_path / "lexicons" / "finance" / "CURRENT").write_text("9\n")
    done = distillex("lexicon", "list", *directory)
    assert done.returncode == 1
    assert "sports" in done.stdout
    assert "lexicon finance@9: cannot be opened" in done.stderr
