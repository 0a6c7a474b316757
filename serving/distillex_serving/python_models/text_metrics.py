"""Metrics of texts: number, length, found entities, reasons of refusal.

No label is a string of a caller's: models, entity types and reasons are closed sets.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable, Sequence

from distillex.errors import REASONS, Reason
from distillex_matcher import Refusal

from distillex_serving.python_models.metrics import NOT_TOLD, Series
from distillex_serving.python_models.periodic import Periodic

PERIOD_S = 1.0
_TYPE = re.compile(rb'"type":"([^"]*)"')
"""In ENTITIES. No entity's text looks like this: a quote in it is escaped."""
_TEXTS = ("distillex_texts_total", "Texts that were answered")
_CHARACTERS = ("distillex_characters_total", "Code points of the texts that were answered")
_WORDS = ("distillex_request_lexicon_words_total", "Words that came with texts in their requests")
_REFUSED = ("distillex_refused_rows_total", "Texts that were refused, or what came with them, by reason")
_ENTITIES = ("distillex_entities_total", "Entities that were found, by type")


class TextMetrics:
    """Counts of one model's process.

    Parameters
    ----------
    model
        The model's name. The parts of an ensemble count for the model that callers name.
    entity_types
        Of what it finds; none where it finds nothing.
    reads_texts
        Whether it is the one that reads and refuses.
    """

    def __init__(self, model: str, entity_types: Iterable[str] = (), *, reads_texts: bool = True) -> None:
        self._model = "extractor_teacher" if model.endswith("_teacher") else "extractor"
        self._types = {each.encode(): each for each in entity_types}
        self._series = Series()
        self._lock = threading.Lock()
        # A series that begins with 0 has a rate from its first count on.
        self._counts: Counter[tuple[tuple[str, str], str, str]] = Counter(
            dict.fromkeys([(_ENTITIES, "type", each) for each in self._types.values()], 0)
        )
        if reads_texts:
            self._counts.update(dict.fromkeys([(each, "", "") for each in (_TEXTS, _CHARACTERS, _WORDS)], 0))
            self._counts.update(dict.fromkeys([(_REFUSED, "reason", reason) for reason in REASONS], 0))
        self._reporter = Periodic(self._tell, PERIOD_S, NOT_TOLD)

    def count_rows(self, texts: Sequence[bytes], refused: Sequence[Refusal | None], words: int) -> None:
        """Count the rows of some requests: their texts, why each was refused, and the words that came with them."""
        bad = [problem for problem in refused if problem is not None]
        good = [text for text, problem in zip(texts, refused, strict=True) if problem is None] if bad else texts
        characters = sum(len(text.decode("utf-8", "replace")) for text in good)
        with self._lock:
            self._counts[_TEXTS, "", ""] += len(good)
            self._counts[_CHARACTERS, "", ""] += characters
            self._counts[_WORDS, "", ""] += words
            for problem in bad:
                self._counts[_REFUSED, "reason", problem.reason] += 1

    def count_refused_request(self, reason: Reason) -> None:
        """Count a request that is refused as a whole: as one row."""
        with self._lock:
            self._counts[_REFUSED, "reason", reason] += 1

    def count_entities(self, rows: Sequence[bytes]) -> None:
        """Count what was found in some texts, UTF-8 JSON, by type."""
        found = Counter(_TYPE.findall(b"".join(rows)))
        with self._lock:
            for name, count in found.items():
                self._counts[_ENTITIES, "type", self._types.get(name, "other")] += count

    def stop(self) -> None:
        """Tell what is left; nothing is counted after."""
        self._reporter.stop()

    def _tell(self) -> None:
        with self._lock:
            counts, self._counts = self._counts, Counter()
        for ((name, description), label, value), count in counts.items():
            labels = {"model": self._model} | ({label: value} if label else {})
            self._series.increment(name, description, count, **labels)
