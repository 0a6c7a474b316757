"""Extraction on a local Ray cluster of two workers, one of which is killed: through a server, and without one."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time

import psutil
import pytest
from batch_command import extract_command, short_text

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[data]'")
import pyarrow.parquet as pq  # noqa: E402
from distillex.batch import LocalExtraction  # noqa: E402
from distillex_client import ray as distillex_ray  # noqa: E402
from distillex_client.batch.connection import Connection  # noqa: E402
from distillex_client.errors import WrongUse  # noqa: E402
from distillex_client.ray import Counts, TableExtraction, TableExtractor, extract_dataset, extract_parquet  # noqa: E402

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ROWS = 2400


@pytest.fixture(scope="module")
def cluster():
    environment = pytest.MonkeyPatch()
    environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=100 << 20,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()
    environment.undo()


@pytest.fixture(params=["server", "models of its own"])
def source(request):
    """What extracts, and the command line of one process that gives the same."""
    if request.param == "server":
        url = request.getfixturevalue("server").grpc_url
        return Connection(url), extract_command(url)
    return LocalExtraction(), [sys.executable, "-c", "from distillex.command.main import run; run()", "extract"]


def kill_a_worker(killed, over):
    """Kill the first worker that is seen extracting."""
    while not killed and not over.is_set():
        for process in psutil.Process().children(recursive=True):
            try:
                title = process.cmdline()[0]
                if "PieceExtractor.write" in title:
                    time.sleep(0.3)
                    process.kill()
                    killed.append(process.pid)
                    break
            except (psutil.Error, IndexError):
                continue
        time.sleep(0.02)


def test_with_a_worker_killed_the_rows_are_those_of_one_process(source, cluster, tmp_path, monkeypatch):
    connection, command = source
    monkeypatch.setattr(distillex_ray, "ROWS_OF_A_TASK", 300)
    monkeypatch.setattr(distillex_ray, "ROWS_OF_A_FILE", 700)
    generator = random.Random(9)
    texts: list[str | None] = [short_text(generator) for _ in range(ROWS)]
    texts[1234] = None
    texts[2045] = "李娜\0在上海"
    table = pa.table({"id": range(ROWS), "text": texts})
    (tmp_path / "lake").mkdir()
    for part in range(2):
        pq.write_table(
            table.slice(part * ROWS // 2, ROWS // 2), tmp_path / "lake" / f"{part}.parquet", row_group_size=500
        )
    killed: list[int] = []
    over = threading.Event()
    killer = threading.Thread(target=kill_a_worker, args=(killed, over))
    killer.start()
    try:
        counts = extract_parquet(str(tmp_path / "lake"), str(tmp_path / "out"), TableExtraction(connection), workers=2)
    finally:
        over.set()
        killer.join()
    assert killed
    assert counts == Counts(ROWS, 2)
    written = sorted((tmp_path / "out").iterdir())
    assert [pq.read_metadata(path).num_rows for path in written] == [700, 500, 700, 500]
    found = pa.concat_tables([pq.read_table(path) for path in written])
    assert found["id"].to_pylist() == list(range(ROWS))
    assert found["problem"][1234].as_py() == "field 'text' is not a string but null"
    assert "NUL" in found["problem"][2045].as_py()
    single = subprocess.run([*command, "lake/*.parquet", "-o", "single.parquet"], cwd=tmp_path, capture_output=True)
    assert single.returncode == 1
    good = found.filter(pa.compute.is_null(found["problem"])).drop_columns(["problem"])
    assert good.to_pylist() == pq.read_table(tmp_path / "single.parquet").to_pylist()


def test_a_missing_or_taken_column_is_wrong_use(cluster):
    extraction = TableExtraction(Connection())
    with pytest.raises(WrongUse, match=r"no column 'text'; the columns are \['body'\]"):
        extract_dataset(ray.data.from_items([{"body": "甲"}]), extraction)
    with pytest.raises(WrongUse, match="a column 'entities' already"):
        extract_dataset(ray.data.from_items([{"text": "甲", "entities": 1}]), extraction)


def test_partition_columns_are_kept_and_an_output_among_the_input_is_refused(server, cluster, tmp_path):
    for year in (2025, 2026):
        (tmp_path / f"lake/year={year}").mkdir(parents=True)
        pq.write_table(pa.table({"text": ["张伟在北京工作。"]}), tmp_path / f"lake/year={year}/a.parquet")
    lake = str(tmp_path / "lake")
    extraction = TableExtraction(Connection(server.grpc_url))
    with pytest.raises(WrongUse, match="would replace the input"):
        extract_parquet(lake, str(tmp_path / "lake" / "out"), extraction)
    assert extract_parquet(lake, str(tmp_path / "out"), extraction) == Counts(2, 0)
    found = [pq.read_table(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    assert [table["year"].to_pylist() for table in found] == [[2025], [2026]]
    assert all(table.column_names == ["text", "year", "entities", "problem"] for table in found)


def test_a_worker_with_a_model_of_its_own_takes_a_core_and_the_words_of_the_run(cluster, monkeypatch):
    reserved = []
    monkeypatch.setattr(ray.data.Dataset, "map_batches", lambda self, kind, **options: reserved.append(options))
    for connection in (Connection(), LocalExtraction()):
        extract_dataset(ray.data.from_items([{"text": "甲"}]), TableExtraction(connection))
    assert [options["num_cpus"] for options in reserved] == [0.5, 1.0]
    extract = TableExtractor(TableExtraction(LocalExtraction(), lexicon={"青石云科": "company"}))
    for text in ("青石云科", "青石云科来了"):
        found = extract(pa.table({"text": [text]}))["entities"].to_pylist()
        assert [(entity["text"], entity["type"]) for entity in found[0]] == [("青石云科", "company")]


def test_unwanted_entities_are_left_out_of_the_column(source):
    table = pa.table({"text": ["张伟在北京工作。", "李娜"]})
    chosen = TableExtraction(source[0], min_score=0.5, types=["name"])
    found = TableExtractor(chosen)(table)["entities"].to_pylist()
    assert [[entity["text"] for entity in entities] for entities in found] == [["张伟"], ["李娜"]]
    with pytest.raises(ValueError, match="min_score 2 must be from 0 to 1"):
        TableExtraction(Connection(), min_score=2)


def test_columns_of_one_name_are_refused(cluster, tmp_path):
    table = pa.Table.from_arrays([pa.array(["张伟"]), pa.array([1]), pa.array([2])], ["text", "n", "n"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(WrongUse, match=r"a\.parquet' cannot be read: .*duplicate field names"):
        extract_parquet(str(tmp_path / "a.parquet"), str(tmp_path / "out"), TableExtraction(Connection()))
