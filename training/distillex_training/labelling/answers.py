"""Parse a language model's answers: a bad answer is an error, never a sentence without entities."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillex_training.data.alignment import AlignmentReport, Mention, align
from distillex_training.data.records import OpenSpan, Record, text_problems
from distillex_training.errors import BadAnswer

THOUGHT, THOUGHT_END = "<think>", "</think>"


@dataclass(frozen=True)
class Answer:
    """The entities that an answer names."""

    mentions: tuple[Mention, ...]
    unknown: tuple[Mention, ...] = ()
    """Those of types that were not asked for."""


def read_answer(content: str, types: Sequence[str]) -> Answer:
    """Read the entities of an answer: JSON alone, in a code fence, or within other text.

    Raises
    ------
    BadAnswer
        For one that does not hold them in the form that was asked for.
    """
    entities = _entities(_said(content))
    spelling = {kind.casefold(): kind for kind in types}
    known: list[Mention] = []
    unknown: list[Mention] = []
    for entity in entities:
        if not isinstance(entity, dict):
            raise BadAnswer("an entity is no object")
        text, kind, score = entity.get("text"), entity.get("type", entity.get("label")), entity.get("score", 1.0)
        if not isinstance(text, str) or not isinstance(kind, str) or text_problems(text):
            raise BadAnswer("an entity without text or type")
        if type(score) not in (int, float) or not 0 <= score <= 1:
            raise BadAnswer("a score that is no number from 0 to 1")
        named = spelling.get(kind.strip().casefold())
        mention = Mention(text.strip(), named or kind.strip(), float(score))
        (known if named else unknown).append(mention)
    return Answer(tuple(known), tuple(unknown))


def _said(content: str) -> str:
    """Return what follows the thoughts; servers may leave out where they begin, and a cut one has no end."""
    return content.rpartition(THOUGHT_END)[2].partition(THOUGHT)[0]


def _entities(content: str) -> list[Any]:
    if not content.strip():
        raise BadAnswer("empty")
    values = list(_json_values(content))
    named = [each["entities"] for each in values if isinstance(each, dict) and isinstance(each.get("entities"), list)]
    if not named:
        raise BadAnswer('no list "entities"' if values else "no JSON")
    # Which of them is the answer, and which one repeats the question's example, cannot be told.
    if any(each != named[0] for each in named):
        raise BadAnswer("several answers that differ")
    return list(named[0])


def _json_values(content: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    position = content.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(content, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            yield value
        position = content.find("{", end)


def labelled(text: str, answer: Answer, types: Sequence[str], report: AlignmentReport, where: str) -> Record:
    """Return a sentence with the entities of an answer.

    Where an entity does not stand in the sentence, its type is open in it; where one is of a type that was not asked
    for, its characters are open.

    Raises
    ------
    BadAnswer
        For one that names entities of which none stands in the sentence.
    """
    alignment = align(text, answer.mentions)
    strange = align(text, answer.unknown, [(span.start, span.end) for span in alignment.spans])
    if (answer.mentions or answer.unknown) and not alignment.spans and not strange.spans:
        raise BadAnswer("none of its entities stands in the text")
    report.mentions += len(answer.mentions)
    report.add(where, alignment)
    missing = tuple(sorted({mention.type for mention in alignment.missing}))
    stretches = [OpenSpan(0, len(text), missing)] if missing else []
    stretches += [OpenSpan(span.start, span.end, tuple(types)) for span in strange.spans]
    return Record(Path(), 0, text, tuple(alignment.spans), tuple(stretches))
