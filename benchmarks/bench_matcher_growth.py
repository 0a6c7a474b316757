"""How the matcher's cost grows with the number of words: 10 thousand to a million, or ten million.

    python benchmarks/bench_matcher_growth.py [FILE] [--largest 1000000] [--rounds 5] [--json FILE]

Words are jieba's (shuffled with a fixed seed), and beyond these, joined pairs of them. FILE is searched line by line;
without it, lines are drawn from the dictionary. Prints build time, memory, opening time of the lexicon file and speed.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

from bench_matcher import GENERATED_LINES, generated_lines, jieba_words
from distillex_matcher import DoubleArrayTrie, Lexicon, normalize

SMALLEST = 10_000


def grown_words(words: list[str], count: int) -> list[str]:
    """Return ``count`` distinct words; those of a smaller count are among those of a larger one."""
    generator = random.Random(1)
    shuffled = list(dict.fromkeys(map(normalize, words)))
    generator.shuffle(shuffled)
    found = dict.fromkeys(shuffled[:count])
    while len(found) < count:
        pair = generator.choice(shuffled) + generator.choice(shuffled)
        found[pair] = None
    return list(found)


def measure(words: list[str], lines: list[str], rounds: int) -> dict[str, float]:
    """Figures of one size."""
    began = time.perf_counter()
    trie = DoubleArrayTrie(words)
    build_s = time.perf_counter() - began
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        matches = len(trie.find_batch(lines).start)
        taken.append(time.perf_counter() - began)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "words.lex"
        Lexicon.from_entries((word, "n", 0.5) for word in words).save(path)
        opened = []
        for _ in range(rounds):
            began = time.perf_counter()
            Lexicon.load(path)
            opened.append((time.perf_counter() - began) * 1000)
        file_mb = path.stat().st_size / 1e6
    return {
        "words": len(words),
        "build_s": build_s,
        "trie_mb": trie.size_bytes / 1e6,
        "file_mb": file_mb,
        "open_ms": statistics.median(opened),
        "matches": matches,
        "mb_per_s": sum(len(line.encode()) for line in lines) / 1e6 / statistics.median(taken),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    dictionary = jieba_words()
    lines = (
        arguments.file.read_text(encoding="utf-8").split("\n")
        if arguments.file
        else generated_lines(dictionary, GENERATED_LINES)
    )
    figures = []
    print("| words | build s | trie MB | bytes a word | file MB | open ms | matches | MB/s |")
    print("|---|---|---|---|---|---|---|---|")
    size = SMALLEST
    while size <= arguments.largest:
        of = measure(grown_words(dictionary, size), lines, arguments.rounds)
        figures.append(of)
        print(
            f"| {size:,} | {of['build_s']:.2f} | {of['trie_mb']:.1f} | {of['trie_mb'] * 1e6 / size:.1f} "
            f"| {of['file_mb']:.1f} | {of['open_ms']:.1f} | {of['matches']:,.0f} | {of['mb_per_s']:.0f} |"
        )
        size *= 10
    if arguments.json:
        content = {"ours": figures, "peers": {}, "ratios": {}}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
