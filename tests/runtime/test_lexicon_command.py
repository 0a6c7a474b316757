"""``distillex lexicon`` on a directory: what would put a lexicon out of use unseen is refused."""

from __future__ import annotations

import pytest
from distillex.command.main import application
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
