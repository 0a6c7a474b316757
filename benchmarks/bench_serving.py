"""Throughput and latency of the embedded server: batches of 32 through gRPC, and single requests.

    python benchmarks/bench_serving.py [--text FILE] [--sentences 1000] [--rounds 5] [--json FILE]

Without ``--text`` the sentences are those of examples/news.txt, repeated. Prints medians over the rounds. The peer
is the same server with the same 100 words in each request's LEXICON: what a request's own lexicon costs.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from pathlib import Path

from distillex_client import Extractor
from distillex_serving.embedded import EmbeddedServer, ServerOptions
from served_rate import BATCH

ROOT = Path(__file__).resolve().parents[1]
SINGLE = "华为技术有限公司昨天与复旦大学在上海签署了一份合作协议书。"
SINGLE_REQUESTS = 300
WORDS: dict[str, str | None] = {f"虚构公司{number}号": "company" for number in range(100)}


def read_sentences(path: Path, count: int) -> list[str]:
    """Sentences of at most 510 characters, repeated up to ``count``."""
    pieces = [piece.strip() for piece in re.findall(r"[^。\n]+。?", path.read_text(encoding="utf-8"))]
    pieces = [piece for piece in pieces if 0 < len(piece) <= 510]
    return [pieces[i % len(pieces)] for i in range(count)]


def latencies_ms(extractor: Extractor, lexicon: dict[str, str | None] | None, text: str = SINGLE) -> list[float]:
    """Milliseconds of each of the single requests."""
    taken = []
    for _ in range(SINGLE_REQUESTS):
        began = time.perf_counter()
        extractor.extract(text, lexicon=lexicon)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile of the values."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, default=ROOT / "examples" / "news.txt")
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sentences = read_sentences(arguments.text, arguments.sentences)
    rates: list[float] = []
    plain: list[list[float]] = []
    with_words: list[list[float]] = []
    options = ServerOptions(grpc_port=0, http_port=0, metrics_port=0)
    with EmbeddedServer(options) as server, Extractor(server.grpc_url, batch_size=BATCH) as extractor:
        extractor.extract_batch(sentences[:64])
        for _ in range(arguments.rounds):
            began = time.perf_counter()
            extractor.extract_batch(sentences)
            rates.append(len(sentences) / (time.perf_counter() - began))
            plain.append(latencies_ms(extractor, None))
            with_words.append(latencies_ms(extractor, WORDS))
    middle = statistics.median
    ours = {
        "sentences_per_s": middle(rates),
        "characters_per_s": middle(rates) * sum(map(len, sentences)) / len(sentences),
        "single_p50_ms": middle(percentile(taken, 50) for taken in plain),
        "single_p99_ms": middle(percentile(taken, 99) for taken in plain),
    }
    words = {"single_p50_ms": middle(percentile(taken, 50) for taken in with_words)}
    print(f"{len(sentences)} sentences in batches of 32: {ours['sentences_per_s']:.0f} sentences/s, ", end="")
    print(f"{ours['characters_per_s']:.0f} characters/s")
    print(f"single requests of {len(SINGLE)} characters: p50 {ours['single_p50_ms']:.2f} ms, ", end="")
    print(f"p99 {ours['single_p99_ms']:.2f} ms")
    ratio = words["single_p50_ms"] / ours["single_p50_ms"]
    print(f"the same with 100 words in LEXICON: p50 {words['single_p50_ms']:.2f} ms (ratio {ratio:.2f})")
    if arguments.json:
        content = {"ours": ours, "peers": {"with-100-words": words}, "ratios": {"with-100-words": ratio}}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
