"""Texts for tests, made from the shipped example; the same at each run."""

from __future__ import annotations

import random
import re
from pathlib import Path

NEWS = (Path(__file__).resolve().parents[2] / "examples" / "news.txt").read_text(encoding="utf-8")
SENTENCES = [sentence for sentence in re.split(r"(?<=。)|\n+", NEWS) if sentence.strip()]


def varied_texts(count: int) -> list[str]:
    """Stretches of the example of 1 to 80 characters, some with signs outside the Basic Multilingual Plane."""
    generator = random.Random(7)
    texts = []
    for number in range(count):
        start = generator.randrange(len(NEWS) - 80)
        text = NEWS[start : start + generator.randint(1, 80)].strip() or "空"
        texts.append(f"😀𠮷{text}" if number % 7 == 0 else text)
    return texts


def long_document(size_bytes: int, *, longest_sentence: int) -> str:
    """Return about ``size_bytes`` of UTF-8: paragraphs of sentences of at most ``longest_sentence`` characters."""
    generator = random.Random(11)
    parts: list[str] = []
    size = 0
    while size < size_bytes:
        clauses = [generator.choice(SENTENCES).rstrip("。") for _ in range(generator.randint(1, 5))]
        sentence = "，".join(clauses)[: longest_sentence - 1] + generator.choice("。！？")
        parts.append(sentence + ("\r\n\r\n" if generator.random() < 0.05 else ""))
        size += len(parts[-1].encode())
    return "".join(parts)
