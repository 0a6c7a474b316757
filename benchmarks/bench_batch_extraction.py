"""A million short records through ``distillex-client extract``: order, loss, speed, peak memory of the client.

    python benchmarks/bench_batch_extraction.py [--records 1000000] [--concurrency 4] [--keep DIRECTORY] [--json FILE]

Starts the embedded server on free ports, generates numbered records with a fixed seed, runs the command as its users
do, samples the resident memory of its process, and reads the output back: every record once, in order, offsets exact.
With ``--kill`` a second run is killed with SIGKILL at a point drawn from the seed and resumed; its output is compared
byte for byte with that of the first. Exit code 1 where a check fails or the memory is over ``--most-memory-mb``.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from distillex_serving.embedded import EmbeddedServer, ServerOptions

SEED = 20_240_501
NAMES = ("张伟", "李娜", "王芳", "刘洋", "陈静", "周立群", "林晓岚", "欧阳修文")
PLACES = ("北京", "上海", "杭州", "成都", "广州", "乌鲁木齐")
COMPANIES = ("华为公司", "北京大学", "中国人民银行", "复旦大学", "腾讯公司", "上海申花队")
POSITIONS = ("董事长", "教授", "记者", "总经理", "主教练")
SENTENCES = (
    "{name}在{place}工作。",
    "{company}{position}{name}出席会议。",
    "昨天{name}到访{company}。",
    "{place}今天下雨，气温下降了十度左右。",
    "{company}在{place}发布新品，{position}{name}介绍了情况。",
)
SAMPLE_EVERY_S = 0.05


@dataclass(frozen=True)
class Figures:
    """What was measured."""

    records: int
    characters: int
    entities: int
    seconds: float
    records_per_s: float
    peak_memory_mb: float
    in_order_and_complete: bool
    identical_after_kill: bool | None


def generate(path: Path, count: int) -> int:
    """Write the records; returns their characters."""
    generator = random.Random(SEED)
    words = {"name": NAMES, "place": PLACES, "company": COMPANIES, "position": POSITIONS}
    characters = 0
    with path.open("w", encoding="utf-8") as stream:
        for number in range(count):
            text = generator.choice(SENTENCES).format(**{key: generator.choice(each) for key, each in words.items()})
            characters += len(text)
            stream.write(json.dumps({"id": number, "text": text}, ensure_ascii=False) + "\n")
    return characters


def run_to_the_end(command: list[str]) -> tuple[float, float]:
    """Run the command; returns seconds and peak resident memory in MB."""
    began = time.monotonic()
    process = subprocess.Popen(command)
    watched = psutil.Process(process.pid)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(SAMPLE_EVERY_S)
    if process.wait() != 0:
        raise SystemExit(f"the command ended with {process.returncode}")
    return time.monotonic() - began, peak / 1e6


def run_killed(command: list[str], part: Path, size: int) -> None:
    """Kill the command when its unfinished output has ``size`` bytes, then resume it to the end."""
    process = subprocess.Popen(command)
    while process.poll() is None and (not part.exists() or part.stat().st_size < size):
        time.sleep(0.005)
    if process.poll() is not None:
        raise SystemExit("the run ended before it could be killed")
    process.send_signal(signal.SIGKILL)
    process.wait()
    if subprocess.run(command, check=False).returncode != 0:
        raise SystemExit("the resumed run failed")


def check(given: Path, written: Path) -> tuple[bool, int]:
    """Read input and output side by side; returns whether they agree, and the entities."""
    entities = 0
    with given.open(encoding="utf-8") as inputs, written.open(encoding="utf-8") as outputs:
        for line in inputs:
            record = json.loads(line)
            found = json.loads(outputs.readline() or "{}")
            spans = found.pop("entities", None)
            if found != record or spans is None:
                return False, entities
            if any(record["text"][span["start"] : span["end"]] != span["text"] for span in spans):
                return False, entities
            entities += len(spans)
        return not outputs.readline(), entities


def same_bytes(first: Path, second: Path) -> bool:
    """Compare two files, a MiB at a time."""
    with first.open("rb") as one, second.open("rb") as other:
        while True:
            left, right = one.read(1 << 20), other.read(1 << 20)
            if left != right:
                return False
            if not left:
                return True


def main() -> int:
    """Run, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--most-memory-mb", type=float, default=300)
    parser.add_argument("--keep", type=Path, help="Work here and leave the files.")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="distillex-batch-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        given, written, killed = folder / "in.jsonl", folder / "out.jsonl", folder / "killed.jsonl"
        characters = generate(given, arguments.records)
        with EmbeddedServer(ServerOptions(grpc_port=0, http_port=0, metrics_port=0)) as server:
            command = [sys.executable, "-c", "from distillex_client.cli import run; run()", "extract", str(given)]
            command += ["--url", server.grpc_url, "--concurrency", str(arguments.concurrency), "--resume", "--output"]
            written.unlink(missing_ok=True)
            seconds, peak_mb = run_to_the_end([*command, str(written)])
            complete, entities = check(given, written)
            identical = None
            if arguments.kill:
                killed.unlink(missing_ok=True)
                size = int(random.Random(SEED).uniform(0.1, 0.9) * written.stat().st_size)
                run_killed([*command, str(killed)], folder / "killed.jsonl.part", size)
                identical = same_bytes(written, killed)
    figures = Figures(
        records=arguments.records,
        characters=characters,
        entities=entities,
        seconds=seconds,
        records_per_s=arguments.records / seconds,
        peak_memory_mb=peak_mb,
        in_order_and_complete=complete,
        identical_after_kill=identical,
    )
    print(f"{figures.records:,} records, {characters:,} characters, {entities:,} entities: {seconds:.1f} s, ", end="")
    print(f"{figures.records_per_s:,.0f} records/s, peak memory of the client {peak_mb:.0f} MB")
    print(f"in order, none lost, offsets exact: {'yes' if complete else 'NO'}")
    if identical is not None:
        print(f"killed with SIGKILL and resumed, the same bytes: {'yes' if identical else 'NO'}")
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(figures), indent=1) + "\n", encoding="utf-8")
    return 0 if complete and identical is not False and peak_mb <= arguments.most_memory_mb else 1


if __name__ == "__main__":
    sys.exit(main())
