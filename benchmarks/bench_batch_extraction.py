"""Measure ``distillex extract`` and ``distillex-client extract`` on a million short records.

Both are checked for order and loss, and measured for speed and peak memory.

    python benchmarks/bench_batch_extraction.py [--records 1000000] [--kill] [--keep DIRECTORY] [--json FILE]

Generates numbered records with a fixed seed, then runs each command as its users do: that of the client against the
embedded server on free ports, that on this machine's cores without one. Samples the resident memory of its processes,
and reads the output back: every record once, in order, offsets exact. Prints both rates and their ratio.
With ``--kill`` a second run of each is killed with SIGKILL at a point drawn from the seed and resumed; its output is
compared byte for byte with that of the first. Exit code 1 where a check fails or the memory of a command's own process
is over ``--most-memory-mb``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from distillex_matcher.cores import usable_cores
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
    """What was measured of a command."""

    command: str
    entities: int
    seconds: float
    records_per_s: float
    peak_memory_mb: float
    """Of its own process."""
    peak_workers_mb: float
    """Of its worker processes together, what they share counted once each."""
    in_order_and_complete: bool
    identical_after_kill: bool | None

    def describe(self) -> str:
        """Return the figures for people."""
        lines = [
            f"{self.command}: {self.entities:,} entities, {self.seconds:.1f} s, {self.records_per_s:,.0f} records/s, "
            f"peak memory {self.peak_memory_mb:.0f} MB, of its workers {self.peak_workers_mb:.0f} MB",
            f"  in order, none lost, offsets exact: {_yes(self.in_order_and_complete)}",
        ]
        if self.identical_after_kill is not None:
            lines.append(f"  killed with SIGKILL and resumed, the same bytes: {_yes(self.identical_after_kill)}")
        return "\n".join(lines)


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


def run_to_the_end(command: list[str]) -> tuple[float, float, float]:
    """Run the command; returns seconds, and peak resident memory in MB of its process and of its children."""
    began = time.monotonic()
    process = subprocess.Popen(command)
    watched = psutil.Process(process.pid)
    peak = peak_children = 0
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            peak = max(peak, watched.memory_info().rss)
            peak_children = max(peak_children, sum(child.memory_info().rss for child in watched.children()))
        time.sleep(SAMPLE_EVERY_S)
    if process.wait() != 0:
        raise SystemExit(f"the command ended with {process.returncode}")
    return time.monotonic() - began, peak / 1e6, peak_children / 1e6


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


def measure(name: str, code: str, options: list[str], folder: Path, count: int, *, kill: bool) -> Figures:
    """Run a command over ``in.jsonl`` of a folder, and again with a kill; checks what it wrote."""
    given, written, killed = folder / "in.jsonl", folder / f"{name}.jsonl", folder / f"{name}-killed.jsonl"
    command = [sys.executable, "-c", code, "extract", str(given), *options, "--resume", "--output"]
    written.unlink(missing_ok=True)
    seconds, peak_mb, workers_mb = run_to_the_end([*command, str(written)])
    complete, entities = check(given, written)
    identical = None
    if kill:
        killed.unlink(missing_ok=True)
        size = int(random.Random(SEED).uniform(0.1, 0.9) * written.stat().st_size)
        run_killed([*command, str(killed)], killed.with_name(killed.name + ".part"), size)
        identical = same_bytes(written, killed)
    return Figures(name, entities, seconds, count / seconds, peak_mb, workers_mb, complete, identical)


@contextlib.contextmanager
def working_folder(keep: Path | None) -> Iterator[Path]:
    """Yield the folder to keep, or one that is removed."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="distillex-batch-") as temporary:
        yield Path(temporary)


def _yes(value: bool) -> str:
    return "yes" if value else "NO"


def main() -> int:
    """Run, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--concurrency", type=int, default=4, help="Requests in flight of the client.")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="Processes of distillex extract.")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--most-memory-mb", type=float, default=300)
    parser.add_argument("--keep", type=Path, help="Work here and leave the files.")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    count, kill = arguments.records, arguments.kill
    with working_folder(arguments.keep) as folder:
        characters = generate(folder / "in.jsonl", count)
        print(f"{count:,} records, {characters:,} characters, {usable_cores()} cores", flush=True)
        code = "from distillex.command.main import run; run()"
        local = measure("distillex", code, ["--workers", str(arguments.workers)], folder, count, kill=kill)
        print(local.describe(), flush=True)
        with EmbeddedServer(ServerOptions(grpc_port=0, http_port=0, metrics_port=0)) as server:
            code = "from distillex_client.cli import run; run()"
            options = ["--url", server.grpc_url, "--concurrency", str(arguments.concurrency)]
            client = measure("distillex-client", code, options, folder, count, kill=kill)
        print(client.describe())
        same = same_bytes(folder / "distillex.jsonl", folder / "distillex-client.jsonl")
        ratio = local.records_per_s / client.records_per_s
        print(f"without a server {ratio:.2f} times as fast; same output: {_yes(same)}")
    if arguments.json:
        report = {"records": count, "characters": characters, "commands": [asdict(local), asdict(client)]}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    sound = all(
        each.in_order_and_complete
        and each.identical_after_kill is not False
        and each.peak_memory_mb <= arguments.most_memory_mb
        for each in (local, client)
    )
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
