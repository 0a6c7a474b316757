"""Realistic requests: what users send, how long it is, and how often.

========  =====  ==============================================================================================
kind      share  what
========  =====  ==============================================================================================
single    70 %   one text
lexicon   10 %   one text with a customer's own words (20 to 100) in LEXICON; 50 customers, each with the same words
                 every time
batch     15 %   4 to 32 texts in one request
document   5 %   10 to 60 sentences of one document, as the client sends them: split, in requests of 32
========  =====  ==============================================================================================

The shares are an assumption about an extraction service that serves people and jobs at once; change them in
:data:`SHARES`. Lengths are drawn from lengths.json, the measured lengths of sentences in news, reviews, headlines and
curricula vitae. Texts of these lengths are cut from examples/news.txt at random places.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

HERE = Path(__file__).resolve().parent
NEWS = HERE.parent / "examples" / "news.txt"
LENGTHS = HERE / "lengths.json"

SHARES = {"single": 0.70, "lexicon": 0.10, "batch": 0.15, "document": 0.05}
BATCH = (4, 32)
DOCUMENT_SENTENCES = (10, 60)
REQUEST_OF_A_DOCUMENT = 32
CUSTOMERS = 50
CUSTOMER_WORDS = (20, 100)
WORD_TYPES = ("company", "name", "address")


@dataclass(frozen=True)
class Call:
    """What one user does at once: one request, or the requests of a document one after another."""

    kind: str
    requests: tuple[tuple[str, ...], ...]
    lexicon: dict[str, str] | None = None

    @property
    def texts(self) -> int:
        """Number of texts in all requests."""
        return sum(map(len, self.requests))


class Traffic:
    """An endless stream of calls; the same seed gives the same stream."""

    def __init__(self, seed: int = 1, shares: dict[str, float] | None = None) -> None:
        self._random = random.Random(seed)
        self._shares = shares or SHARES
        unknown = set(self._shares) - set(SHARES)
        if unknown:
            raise ValueError(f"unknown kinds of calls: {', '.join(sorted(unknown))}; known: {', '.join(SHARES)}")
        self._news = "".join(NEWS.read_text(encoding="utf-8").split())
        content = json.loads(LENGTHS.read_text(encoding="utf-8"))
        self._lengths: list[int] = content["lengths"]
        self._cumulative = list(accumulate(content["counts"]))
        # The same customers for every user.
        of_customers = random.Random(0)
        self._customers = [self._words(of_customers) for _ in range(CUSTOMERS)]

    def __iter__(self) -> Iterator[Call]:
        return self

    def __next__(self) -> Call:
        (kind,) = self._random.choices(list(self._shares), list(self._shares.values()))
        if kind == "single":
            return Call(kind, ((self._text(),),))
        if kind == "lexicon":
            return Call(kind, ((self._text(),),), self._random.choice(self._customers))
        if kind == "batch":
            return Call(kind, (tuple(self._text() for _ in range(self._random.randint(*BATCH))),))
        texts = tuple(self._text() for _ in range(self._random.randint(*DOCUMENT_SENTENCES)))
        step = REQUEST_OF_A_DOCUMENT
        return Call(kind, tuple(texts[begin : begin + step] for begin in range(0, len(texts), step)))

    def _text(self) -> str:
        (length,) = self._random.choices(self._lengths, cum_weights=self._cumulative)
        begin = self._random.randrange(len(self._news) - length)
        return self._news[begin : begin + length]

    def _words(self, generator: random.Random) -> dict[str, str]:
        words = {}
        for _ in range(generator.randint(*CUSTOMER_WORDS)):
            length, begin = generator.randint(2, 6), generator.randrange(len(self._news) - 6)
            words[self._news[begin : begin + length]] = generator.choice(WORD_TYPES)
        return words
