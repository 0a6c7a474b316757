"""Writing results: forms, torn tails, checkpoints."""

from __future__ import annotations

import csv
import io
import json

import pytest
from distillex_client.batch.checkpoint import Checkpoint
from distillex_client.batch.encoders import Csv, HtmlPage, JsonLines
from distillex_client.batch.errors import WrongUse
from distillex_client.batch.records import Extracted, Record
from distillex_client.batch.writers import FileOutput, HtmlDirectory
from distillex_client.entity import Entity

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
