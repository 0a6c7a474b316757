"""Writing results: forms, torn tails, checkpoints."""

from __future__ import annotations

import csv
import datetime
import io
import json
import os
import sys
from pathlib import Path

import pytest
from distillex_client.batch.checkpoint import Checkpoint
from distillex_client.batch.csv_cells import CsvFormulas, OutputEncoding
from distillex_client.batch.encoders import Csv, HtmlPage, JsonLines
from distillex_client.batch.records import Extracted, Record
from distillex_client.batch.writers import FileOutput, HtmlDirectory
from distillex_client.entity import Entity
from distillex_client.errors import WrongUse
from hypothesis import given, settings
from hypothesis import strategies as st

FOUND = [Entity(0, 2, "name", "张伟", 0.9)]


def result(number, **fields):
    return Extracted(Record(f"a:{number}", "张伟", {"text": "张伟", **fields}), FOUND)


def test_json_lines_keep_fields_and_write_a_lone_surrogate_as_its_escape():
    encoder = JsonLines("found")
    line = encoder.encode(result(1, n=1.5, other="\ud800"))
    assert json.loads(line) == {
        "text": "张伟",
        "n": 1.5,
        "other": "\ud800",
        "found": [{"start": 0, "end": 2, "type": "name", "text": "张伟", "score": 0.9}],
    }
    assert "张伟".encode() in encoder.encode(result(1))


def test_csv_has_the_columns_of_the_first_record(tmp_path):
    output = FileOutput(tmp_path / "a.csv", Csv("entities"))
    output.begin(None)
    assert output.write([result(1, n=1), result(2)]) == []
    assert "field 'x'" in output.write([result(3, x=1)])[0].reason
    assert "lone surrogate" in output.write([result(4, n="\ud800")])[0].reason
    state = output.state()
    output.close()
    rows = list(csv.reader(io.StringIO(output.assemble(state).read_text(encoding="utf-8"))))
    assert rows[0] == ["text", "n", "entities"]
    assert [row[:2] for row in rows[1:]] == [["张伟", "1"], ["张伟", ""]]
    assert json.loads(rows[1][2])[0]["text"] == "张伟"


def test_a_torn_tail_is_cut_off_and_the_header_is_not_repeated(tmp_path):
    whole = FileOutput(tmp_path / "whole.csv", Csv("entities"))
    whole.begin(None)
    whole.write([result(1), result(2), result(3)])
    whole.close()
    torn = FileOutput(tmp_path / "torn.csv", Csv("entities"))
    torn.begin(None)
    torn.write([result(1), result(2)])
    state = json.loads(json.dumps(torn.state()))
    torn.close()
    with (tmp_path / "torn.csv.part").open("ab") as stream:
        stream.write('"张伟","[{""sta'.encode())
    resumed = FileOutput(tmp_path / "torn.csv", Csv("entities"))
    resumed.begin(state)
    resumed.write([result(3)])
    resumed.close()
    assert (tmp_path / "torn.csv.part").read_bytes() == (tmp_path / "whole.csv.part").read_bytes()


def test_a_file_shorter_than_its_checkpoint_is_refused(tmp_path):
    output = FileOutput(tmp_path / "a.jsonl", JsonLines("entities"))
    with pytest.raises(WrongUse, match="has 0 bytes where the checkpoint counts 10"):
        output.begin({"bytes": 10, "encoder": {}})


def test_a_second_document_does_not_fit_a_page_but_a_directory(tmp_path):
    page = HtmlPage()
    page.encode(result(1))
    with pytest.raises(WrongUse, match="--output DIRECTORY/"):
        page.encode(result(2))
    pages = HtmlDirectory(tmp_path / "pages")
    pages.begin(None)
    pages.write([result(1), result(2)])
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == ["00000001.html", "00000002.html"]


def test_a_checkpoint_of_other_settings_is_refused_by_name(tmp_path):
    path = tmp_path / "checkpoint"
    checkpoint = Checkpoint({"--text-field": "text"}, 1, 0, 1, 0.5, {"bytes": 0}, 0)
    checkpoint.save(path)
    assert Checkpoint.load(path) == checkpoint
    with pytest.raises(WrongUse, match="--text-field 'text', this one has 'body'"):
        Checkpoint.load(path).check_settings({"--text-field": "body"}, path)
    path.write_bytes(b"{}")
    with pytest.raises(WrongUse, match="is not a checkpoint"):
        Checkpoint.load(path)


def test_parquet_parts_become_one_file_whatever_the_interruptions(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    import pyarrow.parquet as pq
    from distillex_client.batch import parquet

    monkeypatch.setattr(parquet, "PART_ROWS", 2)
    results = [result(number, n=number) for number in range(5)]

    def write(name, interrupted_after):
        output = parquet.ParquetOutput(tmp_path / name, "entities")
        output.begin(None)
        state = None
        for number, each in enumerate(results):
            assert output.write([each]) == []
            state = output.state() or state
            if number == interrupted_after:
                # What was not in a whole part is lost, and so is a part that was being written.
                (tmp_path / f"{name}.parts" / "part-000001.tmp").write_bytes(b"torn")
                output = parquet.ParquetOutput(tmp_path / name, "entities")
                output.begin(state)
                done = 2 * state["parts"]
                for again in results[done : number + 1]:
                    output.write([again])
                    state = output.state() or state
        state = output.state(at_end=True)
        return output.assemble(state)

    whole = write("whole.parquet", None)
    assert write("torn.parquet", 2).read_bytes() == whole.read_bytes()
    file = pq.ParquetFile(whole)
    assert file.metadata.num_row_groups == 3
    rows = file.read().to_pylist()
    assert [row["n"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert rows[0]["entities"] == [{"start": 0, "end": 2, "type": "name", "text": "张伟", "score": 0.9}]


def rows_of(content):
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


CELLS = st.text(st.sampled_from("张,\"\r\n\t=+-' 1"), max_size=6)


@given(st.dictionaries(CELLS, CELLS, min_size=1, max_size=3), st.sampled_from(OutputEncoding))
@settings(deadline=None)
def test_csv_is_read_back_as_it_was_whatever_its_cells_hold(fields, encoding):
    content = Csv("found", encoding, CsvFormulas.KEEP).encode(Extracted(Record("a:1", "", fields), []))
    rows = list(csv.reader(io.StringIO(content.decode(encoding.value), newline=""), strict=True))
    assert rows == [[*fields, "found"], [*fields.values(), "[]"]]


@pytest.mark.parametrize("text", ["=1+1", "+cmd|'/c calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "－1+1"])
def test_a_cell_that_a_spreadsheet_would_run_is_neutralized_unless_it_is_kept(text):
    record = Extracted(Record("a:1", text, {"text": text, text: 1}), [])
    safe, plain = (rows_of(Csv("=e", formulas=each).encode(record)) for each in CsvFormulas)
    assert safe == [["text", f"'{text}", "'=e"], [f"'{text}", "1", "[]"]]
    assert plain == [["text", text, "=e"], [text, "1", "[]"]]


def test_numbers_and_other_values_are_no_formulas():
    fields = {"a": "-5", "b": "+8613800138000", "c": "-1,234.5e+3%", "d": -5, "e": -0.5, "f": [1], "g": "——", "h": None}
    row = rows_of(Csv("entities").encode(Extracted(Record("a:1", "", fields), [])))[1]
    assert row == ["-5", "+8613800138000", "-1,234.5e+3%", "-5", "-0.5", "[1]", "——", "", "[]"]


def test_csv_for_excel_begins_with_one_byte_order_mark_also_when_it_is_resumed(tmp_path):
    def output():
        return FileOutput(tmp_path / "a.csv", Csv("entities", OutputEncoding.UTF_8_SIG))

    first = output()
    first.begin(None)
    first.write([result(1)])
    state = first.state()
    first.close()
    second = output()
    second.begin(state)
    second.write([result(2)])
    second.close()
    content = (tmp_path / "a.csv.part").read_bytes()
    assert content.startswith(b"\xef\xbb\xbftext,entities\n")
    assert content.count(b"\xef\xbb\xbf") == 1
    rare = Extracted(Record("a:1", "张㐀", {"text": "张㐀😀"}), [])
    assert "张㐀😀" in Csv("entities", OutputEncoding.GB18030).encode(rare).decode("gb18030")


def test_values_that_json_has_not_become_null_or_strings():
    fields = {
        "text": "甲",
        "n": float("nan"),
        "deep": [{"x": float("inf")}],
        "when": datetime.date(2024, 5, 1),
        "b": b"\0",
    }
    line = json.loads(JsonLines("found").encode(Extracted(Record("a:1", "甲", fields), [])))
    assert line == {"text": "甲", "n": None, "deep": [{"x": None}], "b": "AA==", "when": "2024-05-01", "found": []}


def test_a_value_nested_too_deeply_to_be_written_is_a_bad_record(tmp_path):
    deep: list[object] = []
    for _ in range(sys.getrecursionlimit() * 100):
        deep = [deep]
    output = FileOutput(tmp_path / "a.jsonl", JsonLines("entities"))
    output.begin(None)
    (bad,) = output.write([result(1, n=deep)])
    output.close()
    assert bad.reason == "its arrays and objects stand too deep in one another"


def test_a_lone_surrogate_anywhere_is_no_parquet_string_but_a_bad_record(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    from distillex_client.batch import parquet

    output = parquet.ParquetOutput(tmp_path / "a.parquet", "entities")
    output.begin(None)
    bad = output.write([result(1, n={"deep": "\ud800"}), result(2, **{"\ud800": 1}), result(3, n="\ud800"), result(4)])
    assert [(each.place, "lone surrogate" in each.reason) for each in bad] == [(f"a:{n}", True) for n in (1, 2, 3)]


def test_pages_are_on_the_disk_before_they_are_counted(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def watched(descriptor):
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    pages = HtmlDirectory(tmp_path / "pages")
    pages.begin(None)
    pages.write([result(1), result(2)])
    assert pages.state() == {"pages": 2}
    folder = str(tmp_path / "pages")
    assert sorted(synced[:-1]) == [f"{folder}/00000001.html", f"{folder}/00000002.html"]
    assert synced[-1] == folder
    synced.clear()
    pages.write([result(3)])
    assert pages.state() == {"pages": 3}
    assert synced == [f"{folder}/00000003.html", folder]


def test_pages_of_an_earlier_run_with_more_documents_do_not_stay_among_those_of_this_one(tmp_path):
    for count in (3, 1):
        pages = HtmlDirectory(tmp_path / "pages")
        pages.begin(None)
        pages.write([result(number) for number in range(count)])
        state = pages.state()
        # After a kill it is another one that gives the names.
        for finishing in (pages, HtmlDirectory(tmp_path / "pages")):
            finishing.assemble(state)
            finishing.clean()
            assert len(list((tmp_path / "pages").iterdir())) == count
