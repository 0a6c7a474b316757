"""``distillex extract``: files through worker processes of this machine, without a server."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import distillex
import psutil
import pytest
from distillex.batch import LocalExtraction
from distillex.locations import shipped_lexicons
from distillex_client.batch.options import BatchOptions
from distillex_matcher import Lexicon
from distillex_matcher.lexicon_store import LexiconStore

# A checkpoint is made after each chunk, so that how far a run comes does not depend on how fast it is.
CODE = (
    "from distillex_client.batch import run as batch_run; batch_run.CHECKPOINT_EVERY_S = 0.0\n"
    "from distillex.command.main import run; run()"
)
COMMAND = [sys.executable, "-c", CODE, "extract", "--progress", "none"]
WORKER = "from distillex.batch.worker import serve"
RECORDS = 5000
NAMES = ("张伟", "李娜", "王芳", "刘洋", "周立群")
SENTENCES = (
    "{}在北京工作。",
    "昨天{}到访华为公司，腾讯公司的代表也在场。",
    "北京大学在上海发布新品，{}介绍了情况。",
    "{}来了",
)


def text_of(generator):
    sentences = [generator.choice(SENTENCES) for _ in range(generator.choice((1, 1, 1, 2, 5)))]
    return "".join(sentence.format(generator.choice(NAMES)) for sentence in sentences)


def write_records(path, count):
    generator = random.Random(7)
    lines = [json.dumps({"id": n, "text": text_of(generator)}, ensure_ascii=False) for n in range(count)]
    path.write_text("\n".join(lines), encoding="utf-8")


def read_records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def extract(folder, *arguments, stdin=None):
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, input=stdin, capture_output=True, timeout=300)


def start(folder, *arguments):
    """Start a run that Ctrl-C ends, whatever the shell that runs the tests made of it."""
    inherited = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return subprocess.Popen([*COMMAND, *map(str, arguments)], cwd=folder, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, inherited)


def wait_for(condition, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)
    return value


def workers_of(process):
    return [child for child in psutil.Process(process.pid).children() if WORKER in " ".join(child.cmdline())]


def records_done(output):
    """What the checkpoint of an unfinished run counts."""
    checkpoint = output.with_name(output.name + ".checkpoint")
    return json.loads(checkpoint.read_text(encoding="utf-8"))["records"] if checkpoint.exists() else 0


def copy_of_lexicons(folder):
    shutil.copytree(shipped_lexicons() / "base", folder / "lexicons" / "base")
    return folder / "lexicons"


def install(lexicons, words):
    LexiconStore(lexicons).install("ours", Lexicon.from_words(words).to_bytes(), check=lambda lexicon: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with records, and their extraction by two workers that nothing interrupted."""
    folder = tmp_path_factory.mktemp("batch")
    write_records(folder / "in.jsonl", RECORDS)
    done = extract(folder, "in.jsonl", "-o", "whole.jsonl", "--workers", 2)
    assert done.returncode == 0, done.stderr.decode()
    return folder


@pytest.fixture(scope="module")
def tagger():
    return distillex.load(threads=1)


def test_records_keep_their_order_and_have_the_entities_that_the_tagger_finds(folder, tagger):
    given, found = read_records(folder / "in.jsonl"), read_records(folder / "whole.jsonl")
    assert [{"id": each["id"], "text": each["text"]} for each in found] == given
    for record in found[:: RECORDS // 50]:
        alone = tagger.extract_document(record["text"])
        assert [(e["start"], e["end"], e["type"], e["text"]) for e in record["entities"]] == [
            (e.start, e.end, e.type, e.text) for e in alone
        ]
    assert sum(len(each["entities"]) for each in found) > RECORDS
    assert {path.name for path in folder.glob("whole*")} == {"whole.jsonl"}


def test_one_worker_gives_the_same_bytes_as_two(folder):
    assert extract(folder, "in.jsonl", "-o", "one.jsonl", "--workers", 1).returncode == 0
    assert (folder / "one.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()


def test_killed_and_resumed_it_is_the_same_file_and_no_worker_is_left(folder):
    process = start(folder, "in.jsonl", "-o", "killed.jsonl", "--resume")
    wait_for(lambda: records_done(folder / "killed.jsonl"))
    workers = workers_of(process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert workers
    psutil.wait_procs(workers, timeout=30)
    assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
    other = extract(folder, "in.jsonl", "-o", "killed.jsonl", "--resume", "--model", "msra")
    assert other.returncode == 2
    assert b"the unfinished run had --model 'cluener', this one has 'msra'" in other.stderr
    # The number of workers may change.
    done = extract(folder, "in.jsonl", "-o", "killed.jsonl", "--resume", "--workers", 1)
    assert done.returncode == 0, done.stderr.decode()
    assert b"done before" in done.stderr
    assert (folder / "killed.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()


def test_a_worker_that_is_killed_costs_no_record(folder):
    process = start(folder, "in.jsonl", "-o", "replaced.jsonl", "--workers", 2)
    for count in (1, RECORDS // 3):
        wait_for(lambda count=count: records_done(folder / "replaced.jsonl") >= count)
        wait_for(lambda: workers_of(process))[0].kill()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()
    assert b"a worker was killed (SIGKILL)" in said
    assert (folder / "replaced.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()


def test_workers_that_are_killed_while_they_wait_cost_no_record():
    text = "张伟在北京。"
    with LocalExtraction("cluener", workers=4).open(BatchOptions(inputs=[])) as workers:
        with ThreadPoolExecutor(4) as pool:
            answered = list(pool.map(workers.call, [[text] * 64] * 4))
        waiting = [child for child in psutil.Process().children() if WORKER in " ".join(child.cmdline())]
        for worker in waiting:
            worker.kill()
        wait_for(lambda: all(worker.status() == psutil.STATUS_ZOMBIE for worker in waiting))
        assert len(waiting) >= 3
        assert workers.call([text]) == answered[0][:1]
        assert answered[0][0].error is None


def test_a_machine_that_starts_no_process_is_not_a_disk_that_is_full(tmp_path):
    (tmp_path / "in.txt").write_text("张伟在北京。", encoding="utf-8")
    refuse = (
        "import errno, subprocess\n"
        "def popen(*_, **__): raise OSError(errno.EAGAIN, 'Resource temporarily unavailable')\n"
        "subprocess.Popen = popen\n"
    )
    command = [sys.executable, "-c", refuse + CODE, *COMMAND[3:], "in.txt", "-o", "out.jsonl"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 3
    assert done.stderr.decode().splitlines() == [
        "distillex: workers cannot be started: Resource temporarily unavailable",
        "distillex: the same command with --resume continues",
    ]


def test_ctrl_c_leaves_a_run_that_can_be_resumed_and_no_worker(folder):
    process = start(folder, "in.jsonl", "-o", "interrupted.jsonl", "--resume")
    wait_for(lambda: records_done(folder / "interrupted.jsonl"))
    workers = workers_of(process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said.decode()
    assert said.decode().splitlines() == [
        "distillex: interrupted",
        "distillex: the same command with --resume continues",
    ]
    assert workers
    assert not any(worker.is_running() for worker in workers)
    assert extract(folder, "in.jsonl", "-o", "interrupted.jsonl", "--resume").returncode == 0
    assert (folder / "interrupted.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()


def test_a_text_that_kills_each_worker_is_a_bad_record_and_the_others_are_not_hurt(tmp_path):
    """Workers are made to die of a word: no text is known that kills one."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'distillex.batch.worker' in ' '.join(sys.orig_argv):\n"
        "    import os, signal, distillex.tagger as t\n"
        "    stream = t.Tagger.extract_stream\n"
        "    def deadly(self, texts, **options):\n"
        "        if any('毒' in text for text in texts):\n"
        "            os.kill(os.getpid(), signal.SIGSEGV)\n"
        "        return stream(self, texts, **options)\n"
        "    t.Tagger.extract_stream = deadly\n",
        encoding="utf-8",
    )
    lines = ["张伟在北京。", "毒", "李娜在上海。"]
    (tmp_path / "in.txt").write_text("\n".join(lines), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [*COMMAND, "in.txt", "--per", "line", "-o", "out.jsonl", "--workers", "2"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 1, done.stderr.decode()
    assert [each["text"] for each in read_records(tmp_path / "out.jsonl")] == [lines[0], lines[2]]
    assert read_records(tmp_path / "out.jsonl.bad.jsonl") == [
        {"source": "in.txt:2", "reason": "3 workers failed on it; the last: a worker was killed (SIGSEGV)"}
    ]


def test_workers_that_die_while_they_start_stop_the_run(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif 'distillex.batch.worker' in ' '.join(sys.orig_argv):\n    import os; os._exit(7)\n",
        encoding="utf-8",
    )
    (tmp_path / "in.txt").write_text("张伟在北京。", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [*COMMAND, "in.txt", "-o", "out.jsonl"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 3
    assert done.stderr.decode().splitlines() == [
        "distillex: workers cannot be started: one ended with exit code 7",
        "distillex: the same command with --resume continues",
    ]
    assert extract(tmp_path, "in.txt", "-o", "out.jsonl", "--resume").returncode == 0


def test_bad_records_go_to_the_side_file_and_the_exit_code_tells(tmp_path):
    lines = [
        '{"text": "张伟在北京。"}',
        "no json",
        '{"text": "李娜\\u0000在上海"}',
        '{"body": 1}',
        '{"text": "王芳来了"}',
    ]
    (tmp_path / "in.jsonl").write_bytes("\n".join(lines).encode() + b'\n{"text": "\xff"}\n')
    done = extract(tmp_path, "in.jsonl", "-o", "out.jsonl")
    assert done.returncode == 1
    assert [each["text"] for each in read_records(tmp_path / "out.jsonl")] == ["张伟在北京。", "王芳来了"]
    bad = read_records(tmp_path / "out.jsonl.bad.jsonl")
    assert [each["source"] for each in bad] == ["in.jsonl:2", "in.jsonl:3", "in.jsonl:4", "in.jsonl:6"]
    assert "NUL" in bad[1]["reason"]
    assert b"4 bad (out.jsonl.bad.jsonl)" in done.stderr


def _text(texts):
    return "\n".join(texts).encode()


def _json_lines(texts):
    return "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts).encode()


def _json_array(texts):
    return json.dumps([{"text": text} for text in texts]).encode()


def _csv(texts):
    return ("text\n" + "\n".join(f'"{text}"' for text in texts)).encode()


def _zstd(content):
    return pytest.importorskip("zstandard", reason="zstandard is not installed").compress(content)


def _parquet(texts):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    import pyarrow.parquet as pq

    stream = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": texts}), stream)
    return stream.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.txt", _text, ["--per", "line"]),
        ("a.txt.gz", lambda texts: gzip.compress(_text(texts)), ["--per", "line"]),
        ("a.txt", lambda texts: _text(texts).decode().encode("gb18030"), ["--per", "line", "--encoding", "gb18030"]),
        ("a.jsonl", _json_lines, []),
        ("a.json", _json_array, []),
        ("a.csv", _csv, []),
        ("a.tsv", _csv, []),
        ("a.csv.zst", lambda texts: _zstd(_csv(texts)), []),
        ("a.parquet", _parquet, []),
    ],
)
def test_every_form_of_input_gives_the_entities_of_the_tagger(tmp_path, tagger, name, content, options):
    generator = random.Random(3)
    texts = [*(text_of(generator) for _ in range(20)), "很" * 600 + "，张伟在北京。"]
    (tmp_path / name).write_bytes(content(texts))
    done = extract(tmp_path, name, *options, "-o", "out.jsonl", "--workers", 1)
    assert done.returncode == 0, done.stderr.decode()
    found = read_records(tmp_path / "out.jsonl")
    assert [each["text"] for each in found] == texts
    for record in found:
        alone = tagger.extract_document(record["text"])
        assert [(e["start"], e["end"], e["type"]) for e in record["entities"]] == [
            (e.start, e.end, e.type) for e in alone
        ]


@pytest.mark.parametrize("output", ["page.html", "pages", "out.csv", "out.parquet", "out.jsonl"])
def test_every_form_of_output_is_written_with_the_words_of_the_run(tmp_path, output):
    if output == "out.parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    (tmp_path / "a.txt").write_text("近日，青石云科发布了新一代平台。", encoding="utf-8")
    (tmp_path / "words.tsv").write_text("# new\n青石云科\tcompany\n", encoding="utf-8")
    form = ["--format", "html"] if output == "pages" else []
    done = extract(tmp_path, "a.txt", "--lexicon", "words.tsv", "-o", output, *form)
    assert done.returncode == 0, done.stderr.decode()
    written = tmp_path / output / "00000001.html" if output == "pages" else tmp_path / output
    if output == "out.parquet":
        import pyarrow.parquet as pq

        kinds = [entity["type"] for entity in pq.read_table(written)["entities"].to_pylist()[0]]
        assert kinds == ["company"]
    else:
        assert "company" in written.read_text(encoding="utf-8")


def test_an_installed_lexicon_lies_under_the_words_of_the_run(tmp_path):
    install(copy_of_lexicons(tmp_path), {"青石云科": "company", "泛舟集": "book"})
    (tmp_path / "words.tsv").write_text("泛舟集\tnull\n", encoding="utf-8")
    (tmp_path / "in.txt").write_text("青石云科买下了泛舟集的版权。", encoding="utf-8")
    # A file of the lexicon's name is not the lexicon.
    (tmp_path / "ours").write_text("", encoding="utf-8")
    options = ("in.txt", "--lexicon-dir", "lexicons", "--lexicon-name", "ours")

    def kinds(*more):
        done = extract(tmp_path, *options, *more)
        assert done.returncode == 0, done.stderr.decode()
        return {entity["text"]: entity["type"] for entity in json.loads(done.stdout)["entities"]}

    assert kinds() == {"青石云科": "company", "泛舟集": "book"}
    assert kinds("--lexicon", "words.tsv").get("泛舟集") != "book"


def test_words_are_obeyed_as_far_as_their_line_or_the_run_says(tmp_path):
    copy_of_lexicons(tmp_path)
    install(tmp_path / "lexicons", {"高兴": "company"})
    (tmp_path / "in.txt").write_text("我今天很高兴。", encoding="utf-8")
    for name, column in (("plain", ""), ("insisting", "\t1\tinsist"), ("hinting", "\t\thint")):
        (tmp_path / f"{name}.tsv").write_text(f"高兴\tcompany{column}\n", encoding="utf-8")

    def is_found(*more):
        done = extract(tmp_path, "in.txt", "--lexicon-dir", "lexicons", *more)
        assert done.returncode == 0, done.stderr.decode()
        return len(json.loads(done.stdout)["entities"]) == 1

    assert not is_found("--lexicon", "plain.tsv")
    assert is_found("--lexicon", "plain.tsv", "--trust", "insist")
    assert is_found("--lexicon", "insisting.tsv", "--trust", "hint")
    assert not is_found("--lexicon", "hinting.tsv", "--trust", "30")
    assert is_found("--lexicon-name", "ours", "--trust", "30")


def test_what_has_to_be_the_same_on_resume_are_the_model_s_bytes_and_the_versions_of_its_lexicons(tmp_path):
    shutil.copytree(distillex.load().path, tmp_path / "model")
    lexicons = copy_of_lexicons(tmp_path)
    extraction = LocalExtraction(str(tmp_path / "model"), lexicons, workers=2)

    def settings():
        return extraction.settings("ours")

    install(lexicons, {"青石云科": "company"})
    before = settings()
    assert before["lexicons"].endswith("+ours@1")
    assert before == replace(extraction, workers=1).settings("ours")
    install(lexicons, {"青石云科": "name"})
    assert settings() == {**before, "lexicons": before["lexicons"].replace("ours@1", "ours@2")}
    network = tmp_path / "model" / "model.onnx"
    network.write_bytes(network.read_bytes() + b"\0")
    assert settings()["--model (checksum)"] != before["--model (checksum)"]


def test_standard_input_goes_to_standard_output_and_a_reader_that_goes_is_no_failure(folder):
    generator = random.Random(5)
    lines = "".join(text_of(generator) + "\n" for _ in range(300)).encode()
    done = extract(folder, "-", "--per", "line", stdin=gzip.compress(lines))
    assert done.returncode == 0, done.stderr.decode()
    assert [json.loads(line)["source"] for line in done.stdout.splitlines()] == [f"-:{n}" for n in range(1, 301)]
    process = subprocess.Popen([*COMMAND, "in.jsonl"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 141
    assert said == b""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.txt"], "none.txt: No such file or directory"),
        (["a.txt", "--model", "nothing"], "unknown student 'nothing'"),
        (["a.txt", "--model", "."], "model.onnx"),
        (["a.txt", "--lexicon-name", "nowhere"], "no lexicon 'nowhere' is installed"),
        (["a.txt", "--trust", "1001"], "--trust: the trust '1001' is not accepted; hint, prefer, insist or a number"),
        (["a.txt", "--lexicon-dir", "nowhere"], "nowhere"),
        (["a.txt", "--lexicon", "words.tsv"], "words.tsv:1: 'word' is not WORD<TAB>TYPE"),
        (["a.txt", "--lexicon", "kinds.tsv"], "kind"),
        (["a.txt", "-o", "out.docx"], "'.docx' is not a known format"),
    ],
)
def test_wrong_use_is_told_with_exit_code_2(tmp_path, arguments, message):
    (tmp_path / "a.txt").write_text("张伟在北京。", encoding="utf-8")
    (tmp_path / "words.tsv").write_text("word", encoding="utf-8")
    (tmp_path / "kinds.tsv").write_text("青石云科\tkind\n", encoding="utf-8")
    done = extract(tmp_path, *arguments)
    assert done.returncode == 2, done.stderr.decode()
    assert message in done.stderr.decode()
    assert done.stderr.startswith(b"distillex: ")
    assert len(done.stderr.splitlines()) == 1


def test_both_commands_have_the_options_of_a_batch_run_and_each_its_own():
    def options_of(code):
        shown = subprocess.run([sys.executable, "-c", code, "extract", "--help"], capture_output=True, text=True)
        return {word.strip("│") for word in shown.stdout.split() if word.startswith("--")}

    local = options_of("from distillex.command.main import run; run()")
    client = options_of("from distillex_client.cli import run; run()")
    assert {"--output", "--per", "--resume", "--lexicon", "--batch-size", "--progress"} <= local & client
    # --help has its short form only here.
    assert local - client == {"--lexicon-dir", "--workers"}
    assert {"--url", "--timeout", "--retry-for", "--concurrency", "--metadata"} <= client - local
