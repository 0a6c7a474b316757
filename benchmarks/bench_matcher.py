"""The matcher against its peers: jieba's words of 2 and more characters, all overlapping matches, one thread.

    pip install 'distillex[bench]'
    python benchmarks/bench_matcher.py [FILE] [--rounds 5] [--json FILE]

FILE is any UTF-8 text, searched line by line; without it, lines are drawn from the dictionary with a fixed seed. Rounds
alternate between the contestants; medians are printed. All must find the same number of matches.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ahocorasick
import ahocorasick_rs
import daachorse
from distillex_matcher import DoubleArrayTrie, Lexicon
from distillex_matcher.base_lexicon import jieba_dictionary_path, read_jieba_dictionary

GENERATED_LINES = 20_000

Count = Callable[[list[str]], int]


def generated_lines(words: list[str], count: int) -> list[str]:
    """Lines of dictionary words and single characters, drawn with a fixed seed."""
    generator = random.Random(1)
    return ["".join(generator.choice(words)[: generator.randint(1, 8)] for _ in range(20)) for _ in range(count)]


def contestants(words: list[str]) -> dict[str, tuple[float, Count]]:
    """Name → (build seconds, function that counts all matches of the lines)."""
    built: dict[str, tuple[float, Count]] = {}

    began = time.perf_counter()
    trie = DoubleArrayTrie(words)
    built["distillex"] = (time.perf_counter() - began, lambda lines: len(trie.find_batch(lines).start))

    began = time.perf_counter()
    charwise = daachorse.CharwiseDoubleArrayAhoCorasick(words)
    built["daachorse-charwise"] = (
        time.perf_counter() - began,
        lambda lines: sum(len(charwise.find_overlapping(line)) for line in lines),
    )

    began = time.perf_counter()
    bytewise = daachorse.DoubleArrayAhoCorasick([word.encode() for word in words])
    built["daachorse-bytewise"] = (
        time.perf_counter() - began,
        lambda lines: sum(len(bytewise.find_overlapping(line.encode())) for line in lines),
    )

    began = time.perf_counter()
    rust = ahocorasick_rs.AhoCorasick(words)
    built["ahocorasick_rs"] = (
        time.perf_counter() - began,
        lambda lines: sum(len(rust.find_matches_as_indexes(line, overlapping=True)) for line in lines),
    )

    began = time.perf_counter()
    automaton = ahocorasick.Automaton()
    for index, word in enumerate(words):
        automaton.add_word(word, index)
    automaton.make_automaton()
    built["pyahocorasick"] = (
        time.perf_counter() - began,
        lambda lines: sum(1 for line in lines for _ in automaton.iter(line)),
    )
    return built


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    words = sorted({word for word, _, _ in read_jieba_dictionary(jieba_dictionary_path()) if len(word) >= 2})
    lines = (
        arguments.file.read_text(encoding="utf-8").split("\n")
        if arguments.file
        else generated_lines(words, GENERATED_LINES)
    )
    megabytes = sum(len(line.encode()) for line in lines) / 1e6
    built = contestants(words)
    rates: dict[str, list[float]] = {name: [] for name in built}
    counts = {name: count(lines) for name, (_, count) in built.items()}
    if len(set(counts.values())) != 1:
        raise SystemExit(f"the contestants disagree: {counts}")
    for _ in range(arguments.rounds):
        for name, (_, count) in built.items():
            began = time.perf_counter()
            count(lines)
            rates[name].append(megabytes / (time.perf_counter() - began))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"{len(words):,} words, {megabytes:.1f} MB, {counts['distillex']:,} matches each")
    for name, rate in medians.items():
        ratio = medians["distillex"] / rate
        print(f"{name:20} build {built[name][0]:5.2f} s  {rate:7.1f} MB/s  distillex is {ratio:5.1f} times as fast")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "words.lex"
        Lexicon.from_entries((word, "n", 0.5) for word in dict.fromkeys(word.lower() for word in words)).save(path)
        opened = []
        for _ in range(arguments.rounds):
            began = time.perf_counter()
            Lexicon.load(path)
            opened.append((time.perf_counter() - began) * 1000)
        print(f"the lexicon file: {path.stat().st_size / 1e6:.1f} MB, opened in {statistics.median(opened):.1f} ms")
    if arguments.json:
        content = {
            "ours": {
                "mb_per_s": medians["distillex"],
                "build_s": built["distillex"][0],
                "open_ms": statistics.median(opened),
            },
            "peers": {n: {"mb_per_s": r, "build_s": built[n][0]} for n, r in medians.items() if n != "distillex"},
            "ratios": {n: medians["distillex"] / r for n, r in medians.items() if n != "distillex"},
        }
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
