"""Batch runs of the command against the real server: order, kills, outages, exit codes, memory."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
from batch_command import COMMAND, extract_command, read_records, run_extract, short_text, write_records

pytest.importorskip("tritonclient.grpc")
from distillex_client import Extractor
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.preconditions import free_port
from server_under_test import server_options

pytestmark = pytest.mark.server

RECORDS = 20_000


def wait_for(condition, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


def size_of(path):
    return path.stat().st_size if path.exists() else 0


def take_first(whole_run, name, count):
    """Write the first records to a file of their own and return what a run over them has to give."""
    lines = (whole_run / "in.jsonl").read_bytes().splitlines(keepends=True)[:count]
    (whole_run / name).write_bytes(b"".join(lines))
    return b"".join((whole_run / "whole.jsonl").read_bytes().splitlines(keepends=True)[:count])


def run_and_kill(command, folder, part, size):
    """Start a run and kill it when its unfinished output has ``size`` bytes; tell whether it was still running."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: process.poll() is not None or size_of(part) >= size)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.fixture(scope="module")
def whole_run(server, tmp_path_factory):
    """A folder with 20,000 records, and their extraction by a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("batch")
    write_records(folder / "in.jsonl", RECORDS)
    done = run_extract(server.grpc_url, "in.jsonl", "--output", "whole.jsonl", cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    return folder


def test_20000_records_keep_their_order_and_none_is_lost(server, whole_run):
    given = read_records(whole_run / "in.jsonl")
    found = read_records(whole_run / "whole.jsonl")
    assert [{"id": r["id"], "text": r["text"]} for r in found] == given
    assert all(r["text"][e["start"] : e["end"]] == e["text"] for r in found for e in r["entities"])
    with Extractor(server.grpc_url) as extractor:
        for record in found[:: RECORDS // 20]:
            alone = extractor.extract(record["text"])
            assert [(e.start, e.end, e.type) for e in alone] == [
                (e["start"], e["end"], e["type"]) for e in record["entities"]
            ]
    assert sorted(path.name for path in whole_run.glob("whole*")) == ["whole.jsonl"]


def test_killed_at_random_points_and_resumed_it_is_the_same_file(server, whole_run):
    generator = random.Random(20_000)
    whole = whole_run / "whole.jsonl"
    command = extract_command(server.grpc_url, "in.jsonl", "--output", "killed.jsonl", "--resume")
    part = whole_run / "killed.jsonl.part"
    for killed_at in sorted(generator.uniform(0.05, 0.8) for _ in range(3)):
        assert run_and_kill(command, whole_run, part, killed_at * size_of(whole))
        assert not (whole_run / "killed.jsonl").exists()
    again = run_extract(server.grpc_url, "in.jsonl", "--output", "killed.jsonl", cwd=whole_run)
    assert again.returncode == 2
    assert b"an unfinished run of killed.jsonl is there: --resume continues it" in again.stderr
    other = run_extract(
        server.grpc_url, "in.jsonl", "--output", "killed.jsonl", "--resume", "--per=line", cwd=whole_run
    )
    assert other.returncode == 2
    assert b"the unfinished run had --per line False" in other.stderr
    done = subprocess.run(command, cwd=whole_run, capture_output=True)
    assert done.returncode == 0
    assert b"done before" in done.stderr
    assert (whole_run / "killed.jsonl").read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in whole_run.glob("killed*")) == ["killed.jsonl"]
    nothing_left = subprocess.run(command, cwd=whole_run, capture_output=True)
    assert nothing_left.returncode == 0
    assert b"nothing to do" in nothing_left.stderr


def test_parquet_killed_and_resumed_is_the_same_file(server, whole_run):
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install pyarrow")
    expected = take_first(whole_run, "10000.jsonl", 10_000)
    run = run_extract(server.grpc_url, "10000.jsonl", "--output", "whole.parquet", cwd=whole_run)
    assert run.returncode == 0, run.stderr.decode()
    command = extract_command(server.grpc_url, "10000.jsonl", "--output", "killed.parquet", "--resume")
    parts = whole_run / "killed.parquet.parts"
    process = subprocess.Popen(command, cwd=whole_run, stderr=subprocess.DEVNULL)
    wait_for(lambda: process.poll() is not None or (parts / "part-000000.parquet").exists())
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert subprocess.run(command, cwd=whole_run, capture_output=True).returncode == 0
    assert (whole_run / "killed.parquet").read_bytes() == (whole_run / "whole.parquet").read_bytes()
    rows = pq.read_table(whole_run / "killed.parquet").to_pylist()
    lines = [json.loads(line) for line in expected.splitlines()]
    assert [(row["id"], row["entities"]) for row in rows] == [(str(r["id"]), r["entities"]) for r in lines]


def test_a_server_killed_for_five_seconds_costs_nothing_but_time(server, whole_run, lexicon_directory):
    expected = take_first(whole_run, "8000.jsonl", 8_000)
    options = replace(server_options(lexicon_directory), grpc_port=free_port())
    running = EmbeddedServer(options)
    running.start()
    part = whole_run / "outage.jsonl.part"
    command = extract_command(running.grpc_url, "8000.jsonl", "--output", "outage.jsonl", "--retry-for", 120)
    process = subprocess.Popen(command, cwd=whole_run, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: process.poll() is not None or size_of(part) >= 0.3 * len(expected))
        assert process.poll() is None
        os.kill(running.pid, signal.SIGKILL)
        running.stop()
        time.sleep(5)
        assert process.poll() is None
        running.start()
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
        running.stop()
    assert process.returncode == 0, said.decode()
    assert b"waiting up to 120 s for the server" in said
    assert b"the server answers again" in said
    assert (whole_run / "outage.jsonl").read_bytes() == expected


def test_a_server_that_stays_away_stops_the_run_which_can_be_resumed(server, tmp_path, nobody):
    write_records(tmp_path / "in.jsonl", 10)
    stopped = run_extract(nobody, "in.jsonl", "-o", "out.jsonl", "--resume", "--retry-for", 0.3, cwd=tmp_path)
    assert stopped.returncode == 3
    assert b"ServerUnavailable" in stopped.stderr
    assert b"the same command with --resume continues" in stopped.stderr
    assert run_extract(server.grpc_url, "in.jsonl", "-o", "out.jsonl", "--resume", cwd=tmp_path).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]
    assert len(read_records(tmp_path / "out.jsonl")) == 10


def test_an_older_output_is_not_taken_for_that_of_a_run_that_was_stopped(server, tmp_path, nobody):
    write_records(tmp_path / "in.jsonl", 10)
    (tmp_path / "out.jsonl").write_text("of yesterday", encoding="utf-8")
    assert run_extract(nobody, "in.jsonl", "-o", "out.jsonl", "--retry-for", 0, cwd=tmp_path).returncode == 3
    assert run_extract(server.grpc_url, "in.jsonl", "-o", "out.jsonl", "--resume", cwd=tmp_path).returncode == 0
    assert len(read_records(tmp_path / "out.jsonl")) == 10


def test_bad_records_go_to_the_side_file_and_the_exit_code_tells(server, tmp_path):
    lines = [
        '{"text": "张伟在北京。"}',
        "no json",
        '{"text": "李娜\\u0000在上海"}',
        '{"body": 1}',
        '{"text": "王芳在杭州。"}',
    ]
    (tmp_path / "in.jsonl").write_bytes("\n".join(lines).encode() + b'\n{"text": "\xff"}\n')
    done = run_extract(server.grpc_url, "in.jsonl", "--output", "out.jsonl", cwd=tmp_path)
    assert done.returncode == 1
    assert [r["text"] for r in read_records(tmp_path / "out.jsonl")] == ["张伟在北京。", "王芳在杭州。"]
    bad = read_records(tmp_path / "out.jsonl.bad.jsonl")
    assert [each["source"] for each in bad] == ["in.jsonl:2", "in.jsonl:3", "in.jsonl:4", "in.jsonl:6"]
    assert "NUL" in bad[1]["reason"]
    assert b"in.jsonl:6: not UTF-8 (byte 10)" in done.stderr
    assert b"6 records" in done.stderr
    assert b"4 bad (out.jsonl.bad.jsonl)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["*.nothing"], "*.nothing: no file matches"),
        (["a.txt", "--lexicon", "words.tsv"], "words.tsv:1: 'word' is not WORD<TAB>TYPE"),
        (["a.txt", "--lexicon-name", "nowhere"], "no lexicon 'nowhere' is installed"),
        (["a.txt", "--trust", "must"], "--trust: the trust 'must' is not accepted; hint, prefer, insist or a number"),
        (["a.txt", "--model", "nothing"], "ModelNotFound"),
        (["a.txt", "--output", "out.docx"], "'.docx' is not a known format"),
        (["a.txt", "--format", "parquet"], "cannot be written to standard output"),
        (["a.txt", "--metadata", "secret"], "is not KEY=VALUE"),
        (["a.txt", "--tls-ca", "none.pem"], "none.pem"),
        (["a.txt", "--output", "a.txt/out.jsonl"], "a.txt"),
    ],
)
def test_wrong_use_is_told_with_exit_code_2(server, tmp_path, arguments, message):
    (tmp_path / "a.txt").write_text("张伟在北京。", encoding="utf-8")
    (tmp_path / "words.tsv").write_text("word", encoding="utf-8")
    done = run_extract(server.grpc_url, *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr.decode()
    assert message in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_metadata_without_a_name_may_be_a_secret_and_is_not_repeated(tmp_path):
    (tmp_path / "a.txt").write_text("张伟在北京。", encoding="utf-8")
    done = run_extract("localhost:1", "a.txt", "--metadata", "a=b", "--metadata", "dx_0a1b2c3d_4e5f", cwd=tmp_path)
    assert done.returncode == 2
    assert b"number 2 is not KEY=VALUE" in done.stderr
    assert b"dx_" not in done.stdout + done.stderr


def test_every_form_of_input_gives_the_same_entities(server, tmp_path):
    generator = random.Random(3)
    texts = [short_text(generator) for _ in range(40)] + ["很" * 600 + "，张伟在北京。"]
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    (tmp_path / "a.txt").write_text("\n".join(texts), encoding="utf-8")
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "a.csv").write_text("text\n" + "\n".join(texts), encoding="utf-8")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    sources = ["a.jsonl", "a.csv", "a.jsonl.gz", "a.txt"]
    if pa := _optional("pyarrow"):
        _optional("pyarrow.parquet").write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
        sources.append("a.parquet")
    if zstandard := _optional("zstandard"):
        (tmp_path / "a.csv.zst").write_bytes(zstandard.compress((tmp_path / "a.csv").read_bytes()))
        sources.append("a.csv.zst")
    done = run_extract(server.grpc_url, *sources, "--per", "line", "-o", "out.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    rows = read_records(tmp_path / "out.jsonl")
    assert len(rows) == len(sources) * len(texts)
    expected = [row["entities"] for row in rows[: len(texts)]]
    assert expected[-1][0]["text"] == "张伟"
    for number in range(len(sources)):
        assert [row["entities"] for row in rows[number * len(texts) :][: len(texts)]] == expected


def test_a_pipe_goes_through_and_one_that_closes_is_no_failure(server, tmp_path):
    generator = random.Random(5)
    lines = "".join(short_text(generator) + "\n" for _ in range(3000)).encode()
    done = run_extract(server.grpc_url, "-", "--per", "line", cwd=tmp_path, stdin=gzip.compress(lines))
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3000
    assert json.loads(done.stdout.splitlines()[1])["source"] == "-:2"
    (tmp_path / "in.txt").write_bytes(lines)
    command = extract_command(server.grpc_url, "in.txt", "--per", "line")
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 141
    assert said == b""


def test_pages_and_csv_and_words_of_the_run(server, tmp_path):
    (tmp_path / "a.txt").write_text("近日，青石云科发布了新一代平台。", encoding="utf-8")
    (tmp_path / "words.tsv").write_text("# new\n青石云科\tcompany\n", encoding="utf-8")
    for output in ("page.html", "pages", "out.csv"):
        form = ["--format", "html"] if output == "pages" else []
        options = ["--lexicon", "words.tsv", "--output", output, *form]
        assert run_extract(server.grpc_url, "a.txt", *options, cwd=tmp_path).returncode == 0
    assert 'data-type="company"' in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (tmp_path / "pages" / "00000001.html").read_bytes() == (tmp_path / "page.html").read_bytes()
    assert "青石云科" in (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1]
    table = run_extract(server.grpc_url, "a.txt", "--format", "table", cwd=tmp_path)
    assert "│ start" in table.stdout.decode() or "┃ start" in table.stdout.decode()


def test_parquet_rows_keep_their_types(server, tmp_path):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    import datetime

    import pyarrow.parquet as pq

    when = pa.array([datetime.datetime(2024, 5, 1, 12), None, None], pa.timestamp("ns"))
    table = pa.table({"when": when, "text": ["张伟在北京。", None, "李娜"], "n": pa.array([1, 2, 3], pa.int8())})
    pq.write_table(table, tmp_path / "in.parquet")
    done = run_extract(server.grpc_url, "in.parquet", "-o", "out.parquet", cwd=tmp_path)
    assert done.returncode == 1
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.drop_columns(["entities"]) == table.take([0, 2])
    assert found["entities"].to_pylist()[0][0]["text"] == "张伟"
    assert read_records(tmp_path / "out.parquet.bad.jsonl")[0]["source"] == "in.parquet:2"


def test_memory_does_not_grow_with_the_input(server, tmp_path):
    peaks = []
    for count in (1_000, 9_000):
        write_records(tmp_path / "in.jsonl", count)
        process = subprocess.Popen(extract_command(server.grpc_url, "in.jsonl", "-o", f"{count}.jsonl"), cwd=tmp_path)
        peak = 0
        try:
            watched = psutil.Process(process.pid)
            while process.poll() is None:
                peak = max(peak, watched.memory_info().rss)
                time.sleep(0.01)
        except psutil.NoSuchProcess:
            pass
        assert process.wait() == 0
        peaks.append(peak)
    # As Python objects, 8,000 more records would take more than that.
    assert peaks[1] - peaks[0] < 12 << 20
    assert peaks[1] < 300 << 20


def test_ctrl_c_leaves_a_run_that_can_be_resumed(server, whole_run):
    expected = take_first(whole_run, "6000.jsonl", 6_000)
    command = extract_command(server.grpc_url, "6000.jsonl", "--output", "interrupted.jsonl", "--resume")
    # A shell that runs the tests in its background makes them ignore Ctrl-C, and their children inherit that.
    inherited = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        process = subprocess.Popen(command, cwd=whole_run, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, inherited)
    wait_for(lambda: process.poll() is not None or (whole_run / "interrupted.jsonl.checkpoint").exists())
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said.decode()
    assert b"the same command with --resume continues" in said
    assert subprocess.run(command, cwd=whole_run, capture_output=True).returncode == 0
    assert (whole_run / "interrupted.jsonl").read_bytes() == expected


def test_ping_models_and_bench_tell_about_the_server(server, tmp_path, nobody):
    def ask(*arguments):
        return subprocess.run([*COMMAND, *arguments], cwd=tmp_path, capture_output=True, timeout=60)

    ready = ask("ping", "--url", server.grpc_url, "--json")
    assert ready.returncode == 0
    answer = json.loads(ready.stdout)
    assert answer["ready"]
    assert 0 < answer["p50_ms"] <= answer["max_ms"]
    away = ask("ping", "--url", nobody)
    assert away.returncode == 3
    assert b"not ready: ServerUnavailable" in away.stdout
    assert b"ModelNotFound" in ask("ping", "--url", server.grpc_url, "--model", "nothing").stdout
    served = {model["name"]: model for model in json.loads(ask("models", "--url", server.grpc_url, "--json").stdout)}
    assert set(served) == {"extractor", "lexicons"}
    assert served["extractor"]["versions"] == ["1"]
    assert "TEXT BYTES [-1, 1]" in served["extractor"]["inputs"]
    assert b"extractor" in ask("models", "--url", server.grpc_url).stdout
    assert ask("models", "--url", server.grpc_url, "--model", "nothing").returncode == 2
    bench = ask("bench", "--url", server.grpc_url, "--sentences", "100", "--requests", "10", "--json")
    figures = json.loads(bench.stdout)
    assert figures["sentences"] == 100
    assert figures["sentences_per_s"] > 0
    assert 0 < figures["single_p50_ms"] <= figures["single_p99_ms"]
    assert ask("bench", "--url", server.grpc_url, "none.txt").returncode == 2


def test_an_extra_that_is_missing_is_named(tmp_path):
    code = (
        "import sys; sys.modules['pyarrow'] = None; sys.modules['zstandard'] = None\n"
        "from distillex_client.cli import run; run()"
    )
    (tmp_path / "a.txt.zst").write_bytes(b"\x28\xb5\x2f\xfd....")
    for arguments, extra in ((["a.txt.zst"], "zstd"), (["a.txt", "-o", "out.parquet"], "parquet")):
        command = [sys.executable, "-c", code, "extract", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True)
        assert done.returncode == 2
        assert f"pip install 'distillex-client[{extra}]'" in done.stderr.decode()


def _optional(name):
    try:
        return __import__(name, fromlist=["_"])
    except ImportError:
        return None
