"""Whatever is in a file: reading it raises nothing, and each line is in a record or in a bad one."""

from __future__ import annotations

import gzip
import io
import tempfile
from pathlib import Path

import pytest
from distillex_client.batch.csv_rows import read_rows
from distillex_client.batch.fields import ReadingOptions
from distillex_client.batch.inputs import Inputs
from distillex_client.batch.records import BadRecord, Record
from distillex_client.batch.sources import InputFormat, Source
from hypothesis import given, settings
from hypothesis import strategies as st

PIECES = st.lists(
    st.sampled_from(
        [
            *(bytes([byte]) for byte in b'a,"\t\n\r\0\xff\x1a []{}:\\\x0b\x85'),
            *(b"\r\n", b"\xef\xbb\xbf", b"\xe5\xbc", b"\xe2\x80\xa8", b"text", b"text\n"),
            *('{"text": "张"}'.encode(), b'{"text": "\\ud800"}', "张伟".encode("gb18030"), "张伟".encode("utf-16")),
        ]
    ),
    max_size=30,
).map(b"".join)


def read(content, form, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        path.write_bytes(content)
        source = Source(str(path), form, len(content))
        items = list(Inputs([source], ReadingOptions(**options)).records())
    assert all(isinstance(item, (Record, BadRecord)) for item in items)
    return items


@given(PIECES, st.sampled_from([form for form in InputFormat if form is not InputFormat.PARQUET]), st.booleans())
@settings(max_examples=400, deadline=None)
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16", "big5"])
def test_no_content_ends_a_run(encoding, content, form, by_line):
    for packed in (content, gzip.compress(content), gzip.compress(content)[:-5]):
        read(packed, form, by_line=by_line, encoding=encoding)


@given(st.lists(PIECES.map(lambda line: line.replace(b"\n", b"").replace(b"\r", b"")), max_size=6))
@settings(max_examples=300, deadline=None)
def test_each_line_of_text_and_of_json_lines_is_one_record_or_one_bad_one(lines):
    content = b"\n".join(lines)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    unmarked = [line.removeprefix(b"\xef\xbb\xbf") for line in lines]
    blank = {
        InputFormat.TXT: [not line.decode("utf-8", "replace").strip() for line in unmarked],
        InputFormat.JSONL: [not line.strip() for line in unmarked],
    }
    for form, is_blank in blank.items():
        places = [int(item.place.rpartition(":")[2]) for item in read(content, form, by_line=True)]
        assert places == [number for number, each in enumerate(is_blank, start=1) if not each]


@given(PIECES, st.sampled_from([",", "\t"]), st.integers(1, 40))
@settings(max_examples=400, deadline=None)
def test_the_rows_of_csv_take_all_lines_that_are_not_blank(content, delimiter, largest_bytes):
    lines = content.split(b"\n")
    taken = set()
    for row in read_rows(io.BytesIO(content), delimiter, largest_bytes):
        numbers = set(range(row.first_line, row.last_line + 1))
        assert numbers
        assert not numbers & taken
        taken |= numbers
    left = [lines[number] for number in range(len(lines)) if number + 1 not in taken]
    assert all(not line.removeprefix(b"\xef\xbb\xbf").strip(b"\r") for line in left)


def test_reading_rows_leaves_other_readers_of_the_process_their_limit():
    import csv
    import io

    from distillex_client.batch.csv_rows import read_rows

    before = csv.field_size_limit()
    assert [row.values for row in read_rows(io.BytesIO(b"a,b\n"), ",", 10)] == [["a", "b"]]
    assert csv.field_size_limit() >= before
