"""Reading documents: forms, compression, places of bad records."""

from __future__ import annotations

import gzip
import json

import pytest
from distillex_client.batch import readers
from distillex_client.batch.errors import WrongUse
from distillex_client.batch.readers import ReadingOptions, read_all
from distillex_client.batch.records import CHUNK_CHARACTERS, CHUNK_RECORDS, BadRecord, Record, cut_chunks
from distillex_client.batch.sources import InputFormat, find_sources


def read(path, **options):
    return list(read_all(find_sources([str(path)], None), ReadingOptions(**options)))


def texts(items):
    return [item.text for item in items if isinstance(item, Record)]


def reasons(items, path):
    return [(item.place.removeprefix(str(path)), item.reason) for item in items if isinstance(item, BadRecord)]


def test_a_text_file_is_one_document_or_one_a_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeff甲。\r\n\r\n乙".encode())
    assert texts(read(path)) == ["甲。\r\n\r\n乙"]
    lines = read(path, by_line=True)
    assert [(item.text, item.place) for item in lines] == [("甲。", f"{path}:1"), ("乙", f"{path}:3")]


def test_a_line_that_is_not_utf8_hurts_no_other(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xe7\x94\xb2\n\xe7\x94\n\xe4\xb9\x99\n")
    items = read(path, by_line=True)
    assert texts(items) == ["甲", "乙"]
    assert reasons(items, path) == [(":2", "not UTF-8 (byte 0)")]


def test_json_lines_keep_the_other_fields_and_name_what_is_wrong(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = ['{"text": "甲", "n": [1.5, null]}', "{", "[1]", '{"n": 1}', '{"text": 3}', '{"text": "乙", "n": NaN}', ""]
    lines += ['{"text": "丙", "entities": []}', '{"text": "丁"}']
    path.write_text("\n".join(lines), encoding="utf-8")
    items = read(path)
    assert [item.fields for item in items if isinstance(item, Record)] == [
        {"text": "甲", "n": [1.5, None]},
        {"text": "丁"},
    ]
    found = reasons(items, path)
    assert [place for place, _ in found] == [":2", ":3", ":4", ":5", ":6", ":8"]
    assert found[0][1].startswith("not JSON: ")
    assert found[1][1] == "not a JSON object but a list"
    assert found[2][1] == "no field 'text' (--text-field); its fields: ['n']"
    assert found[3][1] == "field 'text' is not a string but a number"
    assert "NaN" in found[4][1]
    assert "--entities-field" in found[5][1]


def test_csv_has_quoted_line_ends_and_bad_rows_stand_alone(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffid,text\n1,"甲\n乙"\n2\n3,'.encode() + b"\xff" + "\n4,丙\n".encode())
    items = read(path)
    assert [item.fields for item in items if isinstance(item, Record)] == [
        {"id": "1", "text": "甲\n乙"},
        {"id": "4", "text": "丙"},
    ]
    assert reasons(items, path) == [
        (":4", "1 values where the header has 2 columns"),
        (":5", "column 'text' is not UTF-8"),
    ]


def test_csv_without_the_text_column_is_named_once(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,body\n1,甲\n2,乙\n", encoding="utf-8")
    assert reasons(read(path), path) == [("", "no column 'text' (--text-field); its columns: ['id', 'body']")]
    assert texts(read(path, text_field="body")) == ["甲", "乙"]


def test_gzip_is_told_by_its_first_bytes_and_a_cut_off_one_is_named(tmp_path):
    content = "".join(json.dumps({"text": f"第{n}句"}) + "\n" for n in range(20000)).encode()
    packed = gzip.compress(content)
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    (tmp_path / "b.jsonl").write_bytes(packed)
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    assert len(texts(read(tmp_path / "a.jsonl.gz"))) == len(texts(read(tmp_path / "b.jsonl"))) == 20000
    items = read(tmp_path / "cut.jsonl.gz")
    assert isinstance(items[-1], BadRecord)
    assert "cannot be read after" in items[-1].reason
    assert 0 < len(texts(items)) < 20000


def test_zstd_of_several_frames_is_read_whole_and_a_cut_off_one_is_named(tmp_path):
    zstandard = pytest.importorskip("zstandard", reason="zstandard is not installed: pip install zstandard")
    frames = [zstandard.compress(f'{{"text": "第{n}句"}}\n'.encode()) for n in range(3)]
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(b"".join(frames))
    assert texts(read(path)) == ["第0句", "第1句", "第2句"]
    path.write_bytes(b"".join(frames)[:-3])
    items = read(path)
    assert texts(items)[:2] == ["第0句", "第1句"]
    assert "the zstd stream is cut off" in items[-1].reason


def test_a_record_over_the_limit_is_bad_and_the_next_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "LARGEST_RECORD_BYTES", 100)
    path = tmp_path / "a.txt"
    path.write_text("甲\n" + "乙" * 100 + "\n丙\n", encoding="utf-8")
    items = read(path, by_line=True)
    assert texts(items) == ["甲", "丙"]
    assert reasons(items, path)[0][0] == ":2"
    assert "over 100 bytes" in read(path)[0].reason


def test_globs_are_sorted_and_one_that_matches_nothing_is_wrong_use(tmp_path):
    for name in ("b.txt", "a.txt", "c.csv"):
        (tmp_path / name).write_text("甲", encoding="utf-8")
    sources = find_sources([str(tmp_path / "*.txt")], None)
    assert [source.name for source in sources] == [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    assert find_sources([str(tmp_path / "c.csv")], InputFormat.TXT)[0].format is InputFormat.TXT
    with pytest.raises(WrongUse, match="no file matches"):
        find_sources([str(tmp_path / "*.json")], None)
    with pytest.raises(WrongUse, match="stands twice"):
        find_sources(["-", "-"], None)


def test_a_missing_file_is_a_bad_record(tmp_path):
    (tmp_path / "a.txt").write_text("甲", encoding="utf-8")
    sources = find_sources([str(tmp_path / "none.txt"), str(tmp_path / "a.txt")], None)
    missing, found = read_all(sources, ReadingOptions())
    assert missing == BadRecord(str(tmp_path / "none.txt"), "cannot be read: No such file or directory")
    assert found.text == "甲"


def test_chunks_are_bounded_and_the_same_wherever_reading_begins():
    records = [Record(str(n), "甲" * (n * 37 % 700)) for n in range(3 * CHUNK_RECORDS)]
    records.insert(50, Record("long", "乙" * (CHUNK_CHARACTERS + 1)))
    chunks = list(cut_chunks(records, 0))
    assert [item for chunk in chunks for item in chunk.items] == records
    assert all(len(chunk.items) <= CHUNK_RECORDS for chunk in chunks)
    assert all(len(c.items) == 1 or sum(len(i.text) for i in c.items) <= CHUNK_CHARACTERS for c in chunks)
    begin = chunks[1].end
    assert list(cut_chunks(records[begin:], begin)) == chunks[2:]


def test_parquet_rows_become_records_with_plain_values(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    import datetime

    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    day = datetime.date(2024, 5, 1)
    table = pa.table({"day": [day, None], "text": ["甲", None], "raw": [b"\x00", b"\xff"], "n": [1, 2]})
    pq.write_table(table, path)
    items = read(path)
    assert items[0].fields == {"day": "2024-05-01", "text": "甲", "raw": "AA==", "n": 1}
    assert reasons(items, path) == [(":2", "field 'text' is not a string but null")]
    broken = pa.array([b"\xff", "乙".encode()], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": broken}), path)
    items = read(path)
    assert texts(items) == ["乙"]
    assert reasons(items, path) == [(":1", "field 'text' is not UTF-8")]
    path.write_bytes(b"PAR1 nothing")
    assert "cannot be read" in reasons(read(path), path)[0][1]
