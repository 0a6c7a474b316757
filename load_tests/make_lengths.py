"""Make lengths.json, the histogram of sentence lengths that the traffic draws from. Only counts are kept, no text.

    python load_tests/make_lengths.py ../shared/data/raw/*.txt ../shared/data/labelled/*/train.jsonl

Raw files hold one sentence a line, labelled ones a JSON object with "text" a line. Each file counts alike, however
large it is, so that no source rules the distribution.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

LONGEST_TEXT = 510
PER_FILE = 10_000
TARGET = Path(__file__).resolve().parent / "lengths.json"


def sentence_lengths(path: Path) -> Counter[int]:
    """Count the sentences of each length; those that the server refuses (empty, over 510 characters) are left out."""
    lines = path.read_text(encoding="utf-8").splitlines()
    texts = (json.loads(line)["text"] for line in lines) if path.suffix == ".jsonl" else lines
    return Counter(len(text) for text in texts if 1 <= len(text) <= LONGEST_TEXT)


def join(counts: list[Counter[int]]) -> dict[int, int]:
    """Add the counts of several files, each scaled to the same number of sentences."""
    joined: Counter[int] = Counter()
    for each in counts:
        for length, count in each.items():
            joined[length] += round(count * PER_FILE / each.total()) if each.total() > PER_FILE else count
    return {length: joined[length] for length in sorted(joined) if joined[length]}


def main() -> None:
    """Write lengths.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, default=TARGET)
    arguments = parser.parse_args()
    histogram = join([sentence_lengths(path) for path in arguments.files])
    sources = [path.parent.name + "/" + path.name for path in arguments.files]
    content = {
        "comment": "sentences by length in characters; made by make_lengths.py",
        "sources": sources,
        "lengths": list(histogram),
        "counts": list(histogram.values()),
    }
    arguments.output.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    total = sum(histogram.values())
    mean = sum(length * count for length, count in histogram.items()) / total
    print(f"{arguments.output}: {total:,} sentences, {mean:.1f} characters on average, the longest {max(histogram)}")


if __name__ == "__main__":
    main()
