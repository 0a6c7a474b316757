"""The featurizer: texts to all tensors, base lexicon and an overlay of 100 words a request, one thread.

    python benchmarks/bench_featurizer.py [--rounds 5] [--json FILE]

The texts are the sentences of examples/news.txt. Prints medians of characters a second with the base lexicon alone, and
with an overlay, what building an overlay of 100 words costs, and what one text and 32 of 30 characters take. There is
no peer that makes these features.

"Hostile nested words" is a text whose every substring of up to 64 characters is a word of its overlay, against the
same text without the overlay.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from pathlib import Path

from distillex_matcher import FeatureLayout, Lexicon

ROOT = Path(__file__).resolve().parents[1]
BATCH_SIZE = 32
HOSTILE_TEXT = "长" * 510
SHORT = 30
"""Characters of a short text."""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    text = (ROOT / "examples" / "news.txt").read_text(encoding="utf-8")
    sentences = [piece.strip() for piece in re.findall(r"[^。\n]+。?", text) if piece.strip()]
    batches = [sentences[i : i + BATCH_SIZE] for i in range(0, len(sentences), BATCH_SIZE)]
    layout = FeatureLayout.load(ROOT / "models" / "student-cluener")
    featurizer = layout.featurizer(Lexicon.load(ROOT / "lexicons" / "base" / "1.lex"))
    words: dict[str, str | None] = {f"虚构公司{number}号": "company" for number in range(100)}
    characters = sum(map(len, sentences))
    nested = Lexicon.from_words({"长" * length: "company" for length in range(1, 65)})
    running = "".join(sentences)
    short = [running[i : i + SHORT].encode() for i in range(0, SHORT * BATCH_SIZE, SHORT)]
    calls = {"one short text": short[:1], f"{BATCH_SIZE} short texts": short}
    names = ("base", "base + overlay", "overlay build", "long text", "hostile nested words", *calls)
    figures: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(arguments.rounds):
        for name, overlay in (("base", None), ("base + overlay", [Lexicon.from_words(words)])):
            began = time.perf_counter()
            for _ in range(20):
                for batch in batches:
                    featurizer.featurize(batch, [overlay] * len(batch) if overlay else None)
            figures[name].append(20 * characters / (time.perf_counter() - began))
        began = time.perf_counter()
        for _ in range(200):
            Lexicon.from_words(words)
        figures["overlay build"].append((time.perf_counter() - began) / 200 * 1e6)
        for name, overlays in (("long text", None), ("hostile nested words", [[nested]])):
            began = time.perf_counter()
            for _ in range(100):
                featurizer.featurize([HOSTILE_TEXT], overlays)
            figures[name].append((time.perf_counter() - began) / 100 * 1e6)
        for name, texts in calls.items():
            began = time.perf_counter()
            for _ in range(1000):
                featurizer.featurize(texts, strict=False)
            figures[name].append((time.perf_counter() - began) / 1000 * 1e6)
    medians = {name: statistics.median(values) for name, values in figures.items()}
    print(f"base lexicon: {medians['base']:,.0f} characters/s")
    print(f"base lexicon and an overlay of 100 words: {medians['base + overlay']:,.0f} characters/s")
    print(f"building an overlay of 100 words: {medians['overlay build']:.0f} µs")
    for name in calls:
        print(f"{name} of {SHORT} characters: {medians[name]:.2f} µs")
    hostile_ratio = medians["hostile nested words"] / medians["long text"]
    print(
        f"hostile nested words: plain {medians['long text']:.0f} µs, hostile {medians['hostile nested words']:.0f} µs "
        f"(ratio {hostile_ratio:.1f}; through the server: bench_lexicon_requests.py)"
    )
    if arguments.json:
        content = {
            "ours": medians,
            "peers": {},
            "ratios": {"overlay": medians["base + overlay"] / medians["base"], "hostile": hostile_ratio},
        }
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
