"""GLiNER's JSON: ``{"tokenized_text": [TOKEN, …], "ner": [[FIRST, LAST, TYPE], …]}``; LAST is inclusive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.json_records import json_objects
from distillex_training.data.formats.reading import Labelled, Reading, Source
from distillex_training.data.formats.writing import Output, json_array_of
from distillex_training.data.records import GoldSpan, Record

TOKENS_KEY = "tokenized_text"


def read_gliner(source: Source) -> Reading:
    """Read a file; the joiner stands between two tokens in the text."""
    reading = Reading(source.path, source.options)
    for line, record in json_objects(reading, source.text):
        tokens, labels = record.get(TOKENS_KEY), record.get("ner")
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            reading.refuse(line, f'no list "{TOKENS_KEY}" of strings')
        elif not isinstance(labels, list):
            reading.refuse(line, 'no list "ner": this text is not labelled')
        else:
            joiner = source.options.joiner
            spans, reasons = _spans(labels, tokens, len(joiner))
            reading.add(line, joiner.join(tokens), spans, reasons)
    return reading.finish(counts_tokens=True)


def write_gliner(records: Sequence[Record], output: Output) -> None:
    """Write a token a character."""
    values = [
        {TOKENS_KEY: list(each.text), "ner": [[s.start, s.end - 1, s.type] for s in each.spans]} for each in records
    ]
    write_atomically(output.path, json_array_of(values))


def _spans(labels: list[Any], tokens: list[str], gap: int) -> tuple[list[Labelled], list[str]]:
    starts = [0]
    for token in tokens:
        starts.append(starts[-1] + len(token) + gap)
    spans: list[Labelled] = []
    reasons = []
    for label in labels:
        match label:
            case [int(first), int(last), str(kind), *_] if 0 <= first <= last < len(tokens):
                spans.append((GoldSpan(starts[first], starts[last] + len(tokens[last]), kind), None))
            case [int(first), int(last), str(), *_]:
                reasons.append(f"the span of tokens [{first}, {last}] does not lie in {len(tokens)} tokens")
            case _:
                reasons.append(f"{label!r} is not [first token, last token, type]")
    return spans, reasons
