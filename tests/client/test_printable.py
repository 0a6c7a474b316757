"""What a text or a file's name holds does not steer the terminal that shows it."""

from __future__ import annotations

import os
import subprocess

import pytest
from batch_command import extract_command
from distillex_client import Entity, render_terminal
from distillex_client.batch.encoders import HtmlPage, TerminalTable
from distillex_client.batch.records import Extracted, Record
from distillex_client.printable import printable
from hypothesis import given
from hypothesis import strategies as st

STEERING = "\x1b]0;title\x07\x1b[2J\x9b31m\r\b\x7f\udc80"


def is_steering(character):
    return character < " " or "\x7f" <= character <= "\x9f" or "\ud800" <= character <= "\udfff"


@given(st.text(st.characters(codec=None), max_size=50))
def test_no_control_character_is_left_and_all_others_are(text):
    shown = printable(text)
    assert len(shown) == len(text)
    assert not any(is_steering(character) for character in shown)
    assert all(new == old or is_steering(old) for old, new in zip(text, shown, strict=True))
    assert printable(text, keep="\n").replace("\n", "␊") == shown


def test_a_rendered_text_keeps_its_lines_and_loses_its_control_characters():
    text = "张伟" + STEERING + "\n在\t北京"
    found = [Entity(0, 3, f"na{STEERING}me", text[:3], 1.0)]
    plain = render_terminal(text, found).plain
    assert plain.startswith("张伟␛[na␛]")
    assert plain.endswith("\n在\t北京")
    assert not any(is_steering(character) for character in plain.replace("\n", "").replace("\t", ""))


def test_a_table_shows_marks_and_control_characters_instead_of_obeying_them():
    # rich would fail at the first of these, and make the second a picture.
    text = "[/b]:smile:[red]" + STEERING
    shown = (
        TerminalTable()
        .encode(Extracted(Record(f"[/i]{STEERING}.txt", text), [Entity(0, len(text), "name", text, 0.5)]))
        .decode()
    )
    assert "[/i]␛]0;title␇" in shown
    assert shown.count("[/b]:smile:[red]␛") == 2
    assert not any(is_steering(character) for character in shown.replace("\n", ""))


def test_a_page_can_have_the_name_of_a_file_that_is_not_utf8():
    assert b"<h1>a\xef\xbf\xbd.txt</h1>" in HtmlPage().encode(Extracted(Record("a\udcff.txt", "张伟"), []))


def test_messages_about_bad_records_and_refused_files_stay_on_their_line(tmp_path):
    name = b"a\x1b[31m\n\xff.jsonl"
    (tmp_path / os.fsdecode(name)).write_text('{"\\u001b[2J": 1}\n', encoding="utf-8")
    for arguments, code in (([name], 1), ([name + b"x"], 2)):
        command = [*extract_command("127.0.0.1:1"), *arguments]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True)
        assert said.returncode == code, said.stderr
        assert said.stderr.startswith((b"a", b"distillex-client: a"))
        assert "a␛[31m␊�.jsonl" in said.stderr.decode()
        assert b"\x1b" not in said.stderr


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full"])
def test_a_standard_error_that_cannot_be_written_ends_no_run(tmp_path, closed):
    (tmp_path / "in.jsonl").write_text("no json\n" * 20, encoding="utf-8")
    command = " ".join(f"'{each}'" for each in extract_command("127.0.0.1:1", "in.jsonl", "-o", "out.jsonl"))
    done = subprocess.run(f"{command} {closed}", shell=True, cwd=tmp_path, stdout=subprocess.PIPE)
    assert done.returncode == 1
    assert len((tmp_path / "out.jsonl.bad.jsonl").read_bytes().splitlines()) == 20
    assert (tmp_path / "out.jsonl").read_bytes() == b""
