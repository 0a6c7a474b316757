"""What a resumed run notices of inputs that are not what they were."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import subprocess
import sys
import threading

import pytest
from batch_command import run_extract, short_text
from distillex_client.batch.fields import ReadingOptions
from distillex_client.batch.fingerprint import BLOCK_BYTES, Fingerprint, FingerprintedFile
from distillex_client.batch.inputs import Inputs
from distillex_client.batch.sources import find_sources
from distillex_client.errors import WrongUse
from hypothesis import given, settings
from hypothesis import strategies as st

LINES = 2_000


def inputs(paths, read_before=(), **options):
    return Inputs(find_sources([str(path) for path in paths], None), ReadingOptions(**options), read_before)


def read_some(paths, count, **options):
    """Read the first records, as a run does that is then killed; return what it knows of its inputs."""
    reading = inputs(paths, **options)
    records = reading.records()
    for _ in range(count):
        item = next(records)
    return reading.read_up_to(item.mark)


def lines_of(count):
    return [b'{"text": "%08d", "pad": "%s"}\n' % (number, b"x" * 280) for number in range(count)]


@pytest.fixture
def file(tmp_path):
    """About half a MiB of JSON Lines."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(lines_of(LINES)))
    assert path.stat().st_size > 2 * BLOCK_BYTES
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_rest_of_an_input_that_is_the_same_is_read(file, pack):
    file.write_bytes(pack(file.read_bytes()))
    for count in (1, LINES // 2, LINES - 1, LINES):
        rest = list(inputs([file], read_some([file], count)).records(count))
        assert [item.text for item in rest] == [f"{number:08d}" for number in range(count, LINES)]


@pytest.mark.parametrize("where", [0, 0.3, 0.499])
def test_a_byte_that_changed_anywhere_in_what_was_read_is_noticed(file, where):
    before = read_some([file], LINES // 2)
    content = bytearray(file.read_bytes())
    place = content.index(b"0", int(where * len(content)))
    content[place] = ord("7")
    file.write_bytes(content)
    with pytest.raises(WrongUse, match=r"a\.jsonl has changed where the unfinished run had read it"):
        list(inputs([file], before).records(LINES // 2))


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[: LINES // 4],
        lambda lines: [],
        lambda lines: [b"\n", *lines],
        lambda lines: lines[1:],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [b" ".join(lines[:2]), *lines[2:]],
        lambda lines: [b"\xff\xfe" + lines[0][2:], *lines[1:]],
        lambda lines: [b"\x1f\x8b" + lines[0][2:], *lines[1:]],
    ],
)
def test_lines_that_went_or_came_are_noticed(file, change):
    before = read_some([file], LINES // 2)
    file.write_bytes(b"".join(change(lines_of(LINES))))
    with pytest.raises(WrongUse, match="has changed"):
        list(inputs([file], before).records(LINES // 2))


def test_an_input_that_grew_is_read_to_its_new_end_unless_its_end_was_read(file):
    before = read_some([file], LINES // 2)
    with file.open("ab") as stream:
        stream.write(b'{"text": "new"}\n')
    rest = list(inputs([file], before).records(LINES // 2))
    assert len(rest) == LINES - LINES // 2 + 1
    assert rest[-1].text == "new"
    # The last line has no end: what comes after it would be a part of it.
    file.write_bytes(b"".join(lines_of(3)).rstrip(b"\n"))
    before = read_some([file], 3)
    with file.open("ab") as stream:
        stream.write(b"\n")
    with pytest.raises(WrongUse, match="has changed"):
        list(inputs([file], before).records(3))


def test_files_that_are_done_with_may_not_grow_and_the_one_that_changed_is_named(tmp_path):
    paths = [tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl")]
    for path in paths:
        path.write_bytes(b"".join(lines_of(3)))
    before = read_some(paths, 5)
    assert len(list(inputs(paths, before).records(5))) == 4
    paths[2].write_bytes(b"")
    assert len(list(inputs(paths, before).records(5))) == 1
    with paths[0].open("ab") as stream:
        stream.write(b'{"text": "new"}\n')
    with pytest.raises(WrongUse, match=r"a\.jsonl has changed"):
        list(inputs(paths, before).records(5))


def test_a_whole_text_and_a_parquet_file_have_to_be_the_same_to_their_last_byte(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("甲", encoding="utf-8")
    before = read_some([path], 1)
    path.write_text("甲乙", encoding="utf-8")
    with pytest.raises(WrongUse, match=r"a\.txt has changed"):
        list(inputs([path], before).records(1))
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"{number:08d}" for number in range(9000)], "n": range(9000)})
    pq.write_table(table, path, compression="none", row_group_size=1000)
    before = read_some([path], 10)
    assert len(list(inputs([path], before).records(10))) == 8990
    content = path.read_bytes()
    path.write_bytes(content.replace(b"00008999", b"00008998"))
    assert path.stat().st_size == len(content)
    with pytest.raises(WrongUse, match=r"a\.parquet has changed"):
        list(inputs([path], before).records(10))


@given(st.binary(max_size=60), st.data())
@settings(deadline=None)
def test_a_fingerprint_fits_the_same_bytes_whatever_pieces_they_come_in(content, data):
    whole = FingerprintedFile(io.BytesIO(content), "a")
    whole.read(data.draw(st.integers(0, 60)))
    before = whole.fingerprint()
    again = FingerprintedFile(io.BytesIO(content), "a", before)
    while again.read(data.draw(st.integers(1, 9))):
        pass
    again.verify()
    assert again.fingerprint() == Fingerprint(len(content), again.fingerprint().digest, True)
    changed = data.draw(st.binary(max_size=70))
    if changed[: before.size_bytes] != content[: before.size_bytes] or (before.ended and changed != content):
        with pytest.raises(WrongUse, match="has changed"):
            FingerprintedFile(io.BytesIO(changed), "a", before).verify()


def test_a_pipe_has_to_give_the_same_bytes_again(tmp_path):
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)

    def with_pipe(content, read):
        writer = threading.Thread(target=write, args=(content,), daemon=True)
        writer.start()
        found = read()
        # Not where it raised: an error on its way holds the reader open, and the writer may wait for it.
        writer.join()
        return found

    def write(content):
        try:
            with path.open("wb", buffering=0) as stream:
                for begin in range(0, len(content), 7777):
                    stream.write(content[begin : begin + 7777])
        except BrokenPipeError:
            pass

    content = b"".join(lines_of(1500))
    before = with_pipe(content, lambda: read_some([path], 1000))
    rest = with_pipe(content, lambda: list(inputs([path], before).records(1000)))
    assert [item.text for item in rest] == [f"{number:08d}" for number in range(1000, 1500)]
    other = content.replace(b"00000500", b"00000501")
    with pytest.raises(WrongUse, match=r"pipe\.jsonl has changed"):
        with_pipe(other, lambda: list(inputs([path], before).records(1000)))


# A run that is killed after its second checkpoint of records.
DYING = (
    "import os; from distillex_client.batch import run as batch_run; from distillex_client.cli import run\n"
    "batch_run.CHECKPOINT_EVERY_S = 0.0; save = batch_run.Checkpoint.save\n"
    "batch_run.Checkpoint.save = lambda self, path: (save(self, path), self.records < 2000 or os._exit(9))\n"
    "run()"
)


@pytest.mark.server
def test_the_command_refuses_to_go_on_with_another_input_and_keeps_what_is_written(server, tmp_path):
    generator = random.Random(2)
    lines = [json.dumps({"text": short_text(generator), "pad": "x" * 1000}) for _ in range(4000)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = ("--url", server.grpc_url, "in.jsonl", "-o", "out.jsonl")
    killed = subprocess.run([sys.executable, "-c", DYING, "extract", *options], cwd=tmp_path, capture_output=True)
    assert killed.returncode == 9, killed.stderr
    kept = {path.name: path.read_bytes() for path in tmp_path.glob("out.jsonl.*") if path.suffix != ".lock"}
    # After the first MiB, and of the same length.
    (tmp_path / "in.jsonl").write_text("\n".join([*lines[:1500], lines[1501], *lines[1501:]]), encoding="utf-8")
    refused = run_extract(server.grpc_url, "in.jsonl", "-o", "out.jsonl", "--resume", cwd=tmp_path)
    assert refused.returncode == 2
    assert b"in.jsonl has changed where the unfinished run had read it" in refused.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.glob("out.jsonl.*")} == kept
    (tmp_path / "in.jsonl").write_text("\n".join([*lines, lines[0]]), encoding="utf-8")
    assert run_extract(server.grpc_url, "in.jsonl", "-o", "out.jsonl", "--resume", cwd=tmp_path).returncode == 0
    texts = [json.loads(line)["text"] for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert texts == [json.loads(line)["text"] for line in [*lines, lines[0]]]


@pytest.mark.server
def test_standard_input_is_resumed_when_it_gives_the_same_bytes(server, tmp_path):
    generator = random.Random(4)
    content = "".join(json.dumps({"text": short_text(generator)}) + "\n" for _ in range(4000)).encode()
    options = ("-", "--input-format", "jsonl", "-o", "out.jsonl")
    command = [sys.executable, "-c", DYING, "extract", "--url", server.grpc_url, *options]
    assert subprocess.run(command, cwd=tmp_path, input=content, capture_output=True).returncode == 9
    other = content.replace(b"\n", b" \n", 1)
    refused = run_extract(server.grpc_url, *options, "--resume", cwd=tmp_path, stdin=other)
    assert refused.returncode == 2
    assert b"- has changed where the unfinished run had read it" in refused.stderr
    resumed = run_extract(server.grpc_url, *options, "--resume", cwd=tmp_path, stdin=content)
    assert resumed.returncode == 0
    assert b" done before" in resumed.stderr
    texts = [json.loads(line)["text"] for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert texts == [json.loads(line)["text"] for line in content.splitlines()]


def test_a_checkpoint_of_another_model_or_selection_is_refused(tmp_path):
    (tmp_path / "in.jsonl").write_text("no json\n" * 3000, encoding="utf-8")
    options = ("in.jsonl", "-o", "out.jsonl")
    command = [sys.executable, "-c", DYING, "extract", *options]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 9
    for changed, told in (
        (("--model", "other"), "--model 'extractor', this one has 'other'"),
        (("--min-score", "0.5"), "--min-score 0.0, this one has 0.5"),
        (("--types", "name"), "--types None, this one has ['name']"),
        (("--encoding", "gb18030"), "--encoding 'utf-8', this one has 'gb18030'"),
    ):
        refused = run_extract("127.0.0.1:1", *options, "--resume", *changed, cwd=tmp_path)
        assert refused.returncode == 2
        assert f"the unfinished run had {told}" in refused.stderr.decode()
    (tmp_path / "other.jsonl").write_text("no json\n", encoding="utf-8")
    refused = run_extract("127.0.0.1:1", "in.jsonl", "other.jsonl", "-o", "out.jsonl", "--resume", cwd=tmp_path)
    assert "the unfinished run had input number 2 [], this one has ['other.jsonl']" in refused.stderr.decode()
    assert run_extract("127.0.0.1:1", *options, "--resume", cwd=tmp_path).returncode == 1
