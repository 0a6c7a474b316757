"""Records for the batch tests, and the command run as its users run it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-c", "from distillex_client.cli import run; run()"]
NAMES = ("张伟", "李娜", "王芳", "刘洋", "周立群")
PLACES = ("北京", "上海", "杭州", "成都")
COMPANIES = ("华为公司", "北京大学", "中国人民银行", "腾讯公司")
SENTENCES = ("{name}在{place}工作。", "昨天{name}到访{company}。", "{company}在{place}发布新品，{name}介绍了情况。")


def short_text(generator: random.Random) -> str:
    """One sentence."""
    words = {"name": NAMES, "place": PLACES, "company": COMPANIES}
    return generator.choice(SENTENCES).format(**{key: generator.choice(values) for key, values in words.items()})


def write_records(path: Path, count: int, seed: int = 7) -> list[dict[str, object]]:
    """Write JSON Lines of numbered short texts."""
    generator = random.Random(seed)
    records: list[dict[str, object]] = [{"id": number, "text": short_text(generator)} for number in range(count)]
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    return records


def extract_command(url: str, *arguments: object) -> list[str]:
    """The command line."""
    return [*COMMAND, "extract", "--url", url, "--progress", "none", *map(str, arguments)]


def run_extract(
    url: str, *arguments: object, cwd: Path, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    return subprocess.run(extract_command(url, *arguments), cwd=cwd, input=stdin, capture_output=True, timeout=300)


def read_records(path: Path) -> list[dict[str, object]]:
    """Read JSON Lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
