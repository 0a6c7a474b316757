"""The matcher against its peers: jieba's words of 2 and more characters, all overlapping matches, one thread.

    pip install 'distillex[bench]'
    python benchmarks/bench_matcher.py [FILE] [--rounds 5] [--json FILE]

FILE is any UTF-8 text, searched line by line; without it, lines are drawn from the dictionary with a fixed seed. Rounds
alternate between the contestants; medians are printed. All must find the same number of matches. Resident memory is
the growth of a process of its own while it builds each.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ahocorasick
import ahocorasick_rs
import daachorse
from distillex_matcher import DoubleArrayTrie, Lexicon, normalize
from distillex_matcher.base_lexicon import jieba_dictionary_path, read_jieba_dictionary

GENERATED_LINES = 20_000

Count = Callable[[list[str]], int]


def jieba_words() -> list[str]:
    """Words of two and more characters of jieba's dictionary, sorted."""
    return sorted({word for word, _, _ in read_jieba_dictionary(jieba_dictionary_path()) if len(word) >= 2})


def generated_lines(words: list[str], count: int) -> list[str]:
    """Lines of dictionary words and single characters, drawn with a fixed seed."""
    generator = random.Random(1)
    return ["".join(generator.choice(words)[: generator.randint(1, 8)] for _ in range(20)) for _ in range(count)]


def build_distillex(words: list[str]) -> Count:
    """Ours."""
    trie = DoubleArrayTrie(words)
    return lambda lines: len(trie.find_batch(lines).start)


def build_daachorse_charwise(words: list[str]) -> Count:
    """Build a double-array Aho-Corasick automaton over characters (daachorse)."""
    automaton = daachorse.CharwiseDoubleArrayAhoCorasick(words)
    return lambda lines: sum(len(automaton.find_overlapping(line)) for line in lines)


def build_daachorse_bytewise(words: list[str]) -> Count:
    """Build a double-array Aho-Corasick automaton over bytes (daachorse)."""
    automaton = daachorse.DoubleArrayAhoCorasick([word.encode() for word in words])
    return lambda lines: sum(len(automaton.find_overlapping(line.encode())) for line in lines)


def build_ahocorasick_rs(words: list[str]) -> Count:
    """Build the automaton of Rust's aho-corasick."""
    automaton = ahocorasick_rs.AhoCorasick(words)
    return lambda lines: sum(len(automaton.find_matches_as_indexes(line, overlapping=True)) for line in lines)


def build_pyahocorasick(words: list[str]) -> Count:
    """Build the automaton of pyahocorasick, which is written in C."""
    automaton = ahocorasick.Automaton()
    for index, word in enumerate(words):
        automaton.add_word(word, index)
    automaton.make_automaton()
    return lambda lines: sum(1 for line in lines for _ in automaton.iter(line))


CONTESTANTS: dict[str, Callable[[list[str]], Count]] = {
    "distillex": build_distillex,
    "daachorse-charwise": build_daachorse_charwise,
    "daachorse-bytewise": build_daachorse_bytewise,
    "ahocorasick_rs": build_ahocorasick_rs,
    "pyahocorasick": build_pyahocorasick,
}


def resident_bytes() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def resident_mb(what: str) -> float:
    """Build a contestant (or open a lexicon file) in a process of its own; megabytes by which it grew."""
    command = [sys.executable, __file__, "--resident", what]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(run.stdout)


def print_growth(what: str) -> None:
    """Print by how much this process grows while it builds or opens ``what`` (``--resident``)."""
    if what in CONTESTANTS:
        words = jieba_words()
        before = resident_bytes()
        kept: object = CONTESTANTS[what](words)
    else:
        before = resident_bytes()
        kept = Lexicon.load(Path(what))
        kept.find("一个不存在的城市的名字")
    print((resident_bytes() - before) / 1e6)


def save_lexicon(words: list[str], path: Path) -> None:
    """Write the words as a lexicon file (normalised, as lexicons are)."""
    Lexicon.from_entries((word, "n", 0.5) for word in dict.fromkeys(map(normalize, words))).save(path)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--resident", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.resident:
        print_growth(arguments.resident)
        return
    words = jieba_words()
    lines = (
        arguments.file.read_text(encoding="utf-8").split("\n")
        if arguments.file
        else generated_lines(words, GENERATED_LINES)
    )
    megabytes = sum(len(line.encode()) for line in lines) / 1e6
    count_of: dict[str, Count] = {}
    figures: dict[str, dict[str, float]] = {}
    for name, build in CONTESTANTS.items():
        began = time.perf_counter()
        count_of[name] = build(words)
        figures[name] = {"build_s": time.perf_counter() - began, "resident_mb": resident_mb(name)}
    counts = {name: count(lines) for name, count in count_of.items()}
    if len(set(counts.values())) != 1:
        raise SystemExit(f"the contestants disagree: {counts}")
    rates: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(arguments.rounds):
        for name, count in count_of.items():
            began = time.perf_counter()
            count(lines)
            rates[name].append(megabytes / (time.perf_counter() - began))
    for name, values in rates.items():
        figures[name]["mb_per_s"] = statistics.median(values)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "words.lex"
        save_lexicon(words, path)
        opened = []
        for _ in range(arguments.rounds):
            began = time.perf_counter()
            Lexicon.load(path)
            opened.append((time.perf_counter() - began) * 1000)
        figures["distillex"] |= {"open_ms": statistics.median(opened), "open_resident_mb": resident_mb(str(path))}
        file_mb = path.stat().st_size / 1e6

    ours = figures["distillex"]
    ratios = {name: ours["mb_per_s"] / of["mb_per_s"] for name, of in figures.items() if name != "distillex"}
    print(f"{len(words):,} words, {megabytes:.1f} MB of text, {counts['distillex']:,} matches each\n")
    print("| matcher | build s | resident MB | MB/s | distillex is ... times as fast |\n|---|---|---|---|---|")
    for name, of in figures.items():
        ratio = f"{ratios[name]:.1f}" if name in ratios else ""
        print(f"| {name} | {of['build_s']:.2f} | {of['resident_mb']:.0f} | {of['mb_per_s']:.1f} | {ratio} |")
    print(f"\nthe lexicon file ({file_mb:.1f} MB) opens in {ours['open_ms']:.1f} ms, ", end="")
    print(f"{ours['open_resident_mb']:.0f} MB resident")
    if arguments.json:
        content = {"ours": ours, "peers": {n: of for n, of in figures.items() if n != "distillex"}, "ratios": ratios}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
