"""Reading documents: forms, compression, places of bad records."""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
import tracemalloc

import pytest
from distillex_client.batch import readers
from distillex_client.batch.fields import ReadingOptions
from distillex_client.batch.inputs import Inputs
from distillex_client.batch.json_elements import JsonElements
from distillex_client.batch.opening import check_encoding
from distillex_client.batch.records import CHUNK_CHARACTERS, CHUNK_RECORDS, BadRecord, Record, cut_chunks
from distillex_client.batch.sources import InputFormat, find_sources
from distillex_client.errors import WrongUse
from hypothesis import given, settings
from hypothesis import strategies as st


def read(path, form=None, **options):
    return list(Inputs(find_sources([str(path)], form), ReadingOptions(**options)).records())


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
    skipped = b"\x50\x2a\x4d\x18\x05\0\0\0hello"
    path.write_bytes(skipped + skipped.join(frames) + skipped)
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
    with pytest.raises(WrongUse, match="is given twice"):
        find_sources(["-", "-"], None)


def test_a_file_that_vanishes_before_its_turn_is_a_bad_record(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("甲", encoding="utf-8")
    sources = find_sources([str(tmp_path / "*.txt")], None)
    (tmp_path / "a.txt").unlink()
    missing, found = Inputs(sources, ReadingOptions()).records()
    assert missing == BadRecord(str(tmp_path / "a.txt"), "cannot be read: No such file or directory")
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


def test_a_json_array_is_read_element_by_element(tmp_path):
    path = tmp_path / "a.json"
    array = [{"text": '甲"]},{[\\'}, {"text": "乙", "in": [{"a": [1]}, []]}, 5, {"n": 1}]
    for indent in (None, 2):
        path.write_text("\ufeff" + json.dumps(array, ensure_ascii=False, indent=indent), encoding="utf-8")
        items = read(path)
        assert [item.fields for item in items if isinstance(item, Record)] == array[:2]
        assert [item.place for item in items] == [f"{path}:{n}" for n in (1, 2, 3, 4)]
        assert [reason for _, reason in reasons(items, path)] == [
            "not a JSON object but a number",
            "no field 'text' (--text-field); its fields: ['n']",
        ]
    path.write_text(" [ ] ", encoding="utf-8")
    assert read(path) == []


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_json_array_gives_what_the_json_library_reads_wherever_its_blocks_end(data):
    values = st.recursive(
        st.none() | st.integers() | st.text('甲",[]{}\\\n ', max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('乙",\\]', max_size=3), inner, max_size=3),
        max_leaves=8,
    )
    array = data.draw(st.lists(values, max_size=6))
    content = json.dumps(array, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 1])))
    encoded = content.encode()[1:] + b" \n"
    blocks, begin = [], 0
    while begin < len(encoded):
        end = begin + data.draw(st.integers(1, 7))
        blocks.append(encoded[begin:end])
        begin = end
    elements = JsonElements(blocks, 1000)
    assert [json.loads(element) for element in elements] == array
    assert elements.problem is None


@pytest.mark.parametrize(
    ("content", "good", "bad"),
    [
        ('[{"text": "甲"}, {"text": }, {"text": "乙"}]', ["甲", "乙"], [":2"]),
        ('[{"text": "甲"} {"text": "丙"}, {"text": "乙"}]', ["乙"], [":1"]),
        ('[{"text": "甲"}, {"text": "乙"', ["甲"], [":2", ""]),
        ('[{"text": "甲"},\n', ["甲"], [""]),
        ('[{"text": "甲"},]', ["甲"], [":2"]),
        ('[{"text": "甲"}]\n[{"text": "乙"}]', ["甲"], [""]),
        ('[{"text": "甲", "text": "乙"}, {"text": "丙", "a": {"b": 1, "b": 2}}]', [], [":1", ":2"]),
        ('{"text": "甲"}\n{"text"}\n{"text": "乙"}\n', ["甲", "乙"], [":2"]),
        ('{"text"}\n{"text": "乙"}\n', ["乙"], [":1"]),
        ('\n\n{"text": "甲"}\n{"text"}\n', ["甲"], [":4"]),
        ('{\n "text": "甲"\n}', ["甲"], []),
        ('{\n "data": [{"text": "甲"}]\n}', [], [""]),
        ("", [], []),
    ],
)
def test_what_is_broken_in_json_is_named_and_the_rest_is_read(tmp_path, content, good, bad):
    path = tmp_path / "a.json"
    path.write_text(content, encoding="utf-8")
    items = read(path)
    assert texts(items) == good
    assert [place for place, _ in reasons(items, path)] == bad


def test_a_large_json_array_is_not_held_in_memory(tmp_path):
    path = tmp_path / "a.json"
    element = json.dumps({"text": "甲", "pad": "乙" * 300}).encode()
    with path.open("wb") as stream:
        stream.write(b"[" + element)
        stream.writelines(b"," + element for _ in range(10_000))
        stream.write(b"]")
    assert path.stat().st_size > 15 << 20
    tracemalloc.start()
    try:
        count = sum(1 for _ in Inputs(find_sources([str(path)], None), ReadingOptions()).records())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 10_001
    assert peak < 4 << 20


def test_an_element_over_the_limit_is_bad_and_the_next_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "LARGEST_RECORD_BYTES", 100)
    path = tmp_path / "a.json"
    for indent in (None, 1):
        path.write_text(
            json.dumps([{"text": "x"}, {"text": "y" * 200}, {"text": "z"}], indent=indent), encoding="utf-8"
        )
        items = read(path)
        assert texts(items) == ["x", "z"]
        assert "over 100 bytes" in dict(reasons(items, path))[":2"]


def test_tab_separated_values_are_read(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('id\ttext\n1\t甲,乙\n2\t"丙\t丁"\n', encoding="utf-8")
    assert [item.fields for item in read(path)] == [{"id": "1", "text": "甲,乙"}, {"id": "2", "text": "丙\t丁"}]


def test_columns_and_fields_of_one_name_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,text\n甲,乙\n", encoding="utf-8")
    assert reasons(read(path), path) == [("", "two columns have the name 'text': ['text', 'text']")]
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "甲", "text": "乙"}\n', encoding="utf-8")
    assert reasons(read(path), path) == [(":1", "not JSON: two fields have the name 'text'")]


def test_quotes_that_do_not_fit_are_named_with_all_the_lines_that_they_take(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,"甲"乙\n2,丙\n3,"丁\n4,戊\n5,己\n', encoding="utf-8")
    items = read(path)
    assert texts(items) == ["丙"]
    assert reasons(items, path) == [
        (":2", "not CSV: ',' expected after '\"'"),
        (":4", "not CSV: a quoted value is not closed up to the end of the file (lines 4 to 6)"),
    ]


def test_a_csv_row_over_the_limit_is_bad_before_it_is_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "LARGEST_RECORD_BYTES", 100)
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1," + "x" * 500 + "\n2,甲\n3,乙" + "," * 200 + "\n4,丙\n", encoding="utf-8")
    items = read(path)
    assert texts(items) == ["甲", "丙"]
    assert reasons(items, path) == [(":2", "not CSV: over 100 bytes"), (":4", "not CSV: over 100 bytes")]


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.jsonl"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines_may_end_with_carriage_returns_alone(tmp_path, name, pack):
    lines = {"a.csv": ["text", "甲", "乙"], "a.txt": ["甲", "乙"], "a.jsonl": ['{"text": "甲"}', '{"text": "乙"}']}[
        name
    ]
    path = tmp_path / name
    path.write_bytes(pack("\r".join([*lines, ""]).encode()))
    assert texts(read(path, by_line=True)) == ["甲", "乙"]


def test_a_carriage_return_among_line_feeds_ends_no_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("甲\r乙\n丙\n".encode())
    assert texts(read(path, by_line=True)) == ["甲\r乙", "丙"]


def test_files_put_one_behind_the_other_keep_their_marks_out_of_the_records(tmp_path):
    part = '\ufeff{"text": "甲"}\n'.encode()
    (tmp_path / "a.jsonl").write_bytes(part * 2)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(part) * 2)
    (tmp_path / "a.csv").write_bytes("\ufeffid,text\n1,甲\n\ufeff2,甲\n".encode())
    for name in ("a.jsonl", "a.jsonl.gz", "a.csv"):
        items = read(tmp_path / name)
        assert texts(items) == ["甲", "甲"]
    assert [item.fields["id"] for item in items] == ["1", "2"]


GB18030_FILES = {
    "a.txt": "张伟在北京。\n李娜㐀在上海。",
    "a.jsonl": '{"text": "张伟在北京。"}\n{"text": "李娜㐀在上海。"}\n',
    "a.json": '[{"text": "张伟在北京。"}, {"text": "李娜㐀在上海。"}]',
    "a.csv": "id,text\n1,张伟在北京。\n2,李娜㐀在上海。\n",
    "a.tsv": "id\ttext\n1\t张伟在北京。\n2\t李娜㐀在上海。\n",
}


@pytest.mark.parametrize("name", GB18030_FILES)
@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_other_encodings_are_read_when_they_are_named(tmp_path, name, encoding, pack):
    path = tmp_path / name
    path.write_bytes(pack(GB18030_FILES[name].encode(encoding)))
    items = read(path, by_line=True, encoding=check_encoding(encoding))
    assert texts(items) == ["张伟在北京。", "李娜㐀在上海。"]


@pytest.mark.parametrize("name", GB18030_FILES)
def test_another_encoding_is_named_where_the_bytes_tell_it(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(GB18030_FILES[name].encode("gb18030"))
    for by_line in (True, False):
        items = read(path, by_line=by_line)
        assert texts(items) == []
        assert all("UTF-8" in reason and "--encoding gb18030" in reason for _, reason in reasons(items, path))
    for encoding in ("utf-16", "utf-32"):
        path.write_bytes(GB18030_FILES[name].encode(encoding))
        reason = f"not UTF-8: it begins as {encoding.upper()} does (--encoding {encoding})"
        assert reasons(read(path), path) == [("", reason)]


def test_what_python_cannot_read_of_json_is_told_in_plain_words(tmp_path):
    path = tmp_path / "a.jsonl"
    deep = '{"text": "甲", "other": ' + "[" * 100_000 + "]" * 100_000 + "}"
    path.write_text(f'{deep}\n{{"text": "乙", "n": -{"1" * 5000}}}\n{{"text": "丙"}}\n', encoding="utf-8")
    items = read(path)
    assert texts(items) == ["丙"]
    assert reasons(items, path) == [
        (":1", "its arrays and objects stand too deep in one another"),
        (":2", "not JSON: an integer has 5,000 digits, too many to be read"),
    ]


def test_utf16_without_a_mark_is_not_taken_for_gb18030(tmp_path):
    path = tmp_path / "a.txt"
    for encoding in ("utf-16-le", "utf-16-be"):
        path.write_bytes("公司 (abc)\n公司 (def)".encode(encoding))
        for by_line in (True, False):
            found = reasons(read(path, by_line=by_line), path)
            assert found
            assert all("could be UTF-16: --encoding utf-16-le or utf-16-be" in reason for _, reason in found)


def test_a_header_in_another_encoding_is_not_shown_as_what_it_is_not(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("编号,文本\n1,张伟\n".encode("gb18030"))
    reason = "the header is not UTF-8, but could be GB 18030: --encoding gb18030"
    assert reasons(read(path, text_field="文本"), path) == [("", reason)]
    assert texts(read(path, text_field="文本", encoding="gb18030")) == ["张伟"]


def test_bytes_that_are_not_of_the_named_encoding_spoil_their_own_record(tmp_path):
    path = tmp_path / "a.txt"
    # Taken one by one, the bytes of the second line would be UTF-8.
    path.write_bytes(
        b"\n".join(("甲".encode("big5"), b"a\xc2\x80", "乙".encode("big5") + b"\xff", "丙".encode("big5")))
    )
    items = read(path, by_line=True, encoding="big5")
    assert texts(items) == ["甲", "丙"]
    assert reasons(items, path) == [(":2", "not big5 (character 1)"), (":3", "not big5 (character 1)")]
    path.write_bytes("甲".encode("gb18030")[:1])
    assert reasons(read(path, encoding="gb18030"), path) == [("", "not gb18030 (character 0)")]


def test_utf16_that_does_not_tell_its_byte_order_is_named_and_read_when_it_is_told(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("张伟\n李娜".encode("utf-16-le"))
    assert reasons(read(path, encoding="utf-16"), path) == [
        ("", "cannot be read: UTF-16 stream does not start with BOM")
    ]
    assert texts(read(path, by_line=True, encoding="utf-16-le")) == ["张伟", "李娜"]


@pytest.mark.parametrize("name", ["hex", "rot13", "nothing", "undefined", "idna\0"])
def test_what_is_no_encoding_of_text_is_refused(name):
    with pytest.raises(WrongUse, match="is not a text encoding"):
        check_encoding(name)


def test_a_name_that_tells_no_format_is_refused_with_those_that_do(tmp_path):
    for name in ("a.html", "a.xlsx", "a.tar.gz", "a.jsonl.bz2"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(WrongUse, match=r"is not a known format; --input-format gives it \(txt, .*\.jsonl.*\.tsv"):
            find_sources([str(tmp_path / name)], None)
        assert find_sources([str(tmp_path / name)], InputFormat.TXT)[0].format is InputFormat.TXT
    (tmp_path / "README").write_bytes(b"x")
    assert find_sources([str(tmp_path / "README")], None)[0].format is InputFormat.TXT


def test_what_is_not_there_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "a.txt").write_text("甲", encoding="utf-8")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    for name, reason in (("none.txt", "No such file"), ("*.txt", "gone.txt: No such file"), ("folder", "a directory")):
        with pytest.raises(WrongUse, match=reason):
            find_sources([str(tmp_path / "a.txt"), str(tmp_path / name)], None)


def test_a_pipe_is_read_from_its_first_byte_in_whatever_pieces_it_comes(tmp_path):
    content = b"".join(b'{"text": "%d"}\n' % number for number in range(1000))
    for number, packed in enumerate((content, gzip.compress(content))):
        path = tmp_path / f"{number}.jsonl"
        os.mkfifo(path)
        writer = threading.Thread(target=write_in_pieces, args=(path, packed))
        writer.start()
        items = read(path)
        writer.join()
        assert texts(items) == [str(number) for number in range(1000)]


def write_in_pieces(path, content):
    with path.open("wb", buffering=0) as stream:
        for end in (1, 2, 3, 5, 100):
            stream.write(content[:end])
            content = content[end:]
            time.sleep(0.01)
        stream.write(content)


def test_a_pipe_that_does_not_block_is_read_to_its_end(tmp_path):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def write():
        for part in (b"a\n", b"b\n"):
            time.sleep(0.05)
            os.write(writing, part)
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    items = read(f"/proc/self/fd/{reading}", by_line=True)
    writer.join()
    os.close(reading)
    assert texts(items) == ["a", "b"]


def test_parquet_with_columns_of_one_name_or_with_bytes_that_are_not_utf8_is_named(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["甲"]), pa.array([1]), pa.array([2])], ["text", "n", "n"]), path)
    assert reasons(read(path), path) == [("", "two columns have the name 'n'")]
    broken = pa.array([b"\xff", b"a"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": ["甲", "乙"], "other": broken, "nested": [["x"], None]}), path)
    items = read(path)
    assert [item.fields for item in items if isinstance(item, Record)] == [{"text": "乙", "other": "a", "nested": None}]
    assert reasons(items, path) == [(":1", "field 'other' is not UTF-8")]
