"""Labels from anywhere, to learn from: an LLM's, GLiNER's, rules', people's (``distillation.labels``).

Labelled JSON Lines whose entities may have a ``"score"`` and may be given by their ``"text"`` alone, and whose types
may be more or fewer than the model's. What such a file does not say stays open
(:mod:`distillex_training.data.declaration`): an entity that is not found, one of a low score, the types that it does
not label. Types that the model lacks are no entities.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillex_training.data.alignment import AlignmentReport, Mention, align
from distillex_training.data.declaration import Declaration, read_declaration, read_for_measuring
from distillex_training.data.labelled import LabelledFile, Sentence
from distillex_training.data.records import (
    GoldSpan,
    OpenSpan,
    Problem,
    Record,
    RecordFile,
    are_names,
    read_lines,
    read_records,
    text_problems,
)
from distillex_training.errors import DataError

if TYPE_CHECKING:
    from distillex_training.config import LabelSource


@dataclass(frozen=True)
class SourceFile(LabelledFile):
    """A file of labels as a source of a model's labels."""

    source: LabelSource | None = None
    notes: list[str] = field(default_factory=list, compare=False)
    """What reading it found, a line each."""

    @staticmethod
    def of(source: LabelSource) -> SourceFile:
        """Return the file that a setting names."""
        return SourceFile(source.path, None, source)

    @cached_property
    def _aligned(self) -> RecordFile:
        file, report = read_aligned(self.path)
        self.notes.extend(f"{self.path}: {line}" for line in report.lines())
        return file

    def told_types(self) -> tuple[str, ...]:
        """Return the model's types that it labels, by its settings alone."""
        assert self.source is not None
        if self.source.declaration is not None:
            return read_declaration(self.source.declaration).model_types
        return self.source.types or tuple(sorted(self._aligned.types))

    def records(self, entity_types: tuple[str, ...] = ()) -> RecordFile:
        """Read the records in terms of the model's types, what is below the threshold left open."""
        assert self.source is not None
        if self._aligned.problems:
            return self._aligned
        applied = self._declaration(entity_types).apply(self._aligned, entity_types)
        records = [below_threshold_open(each, self.source.threshold, entity_types) for each in applied.records]
        doubted = sum(span.score < self.source.threshold for each in applied.records for span in each.spans)
        if doubted:
            self.notes.append(f"{self.path}: {doubted:,} entities of a score below {self.source.threshold} stay open")
        return dataclasses.replace(applied, records=records)

    def _declaration(self, entity_types: tuple[str, ...]) -> Declaration:
        assert self.source is not None
        if self.source.declaration is not None:
            return read_for_measuring(self.source.declaration, entity_types)
        named, wanted = self._aligned.types, self.source.types
        unknown = [kind for kind in wanted if kind not in entity_types and kind not in named]
        if unknown:
            known = ", ".join(dict.fromkeys((*entity_types, *sorted(named))))
            raise DataError(f"{self.path}: types: {unknown[0]!r} is no type of the model or of the file ({known})")
        labelled = [kind for kind in entity_types if kind in (wanted or named)]
        if not labelled:
            theirs, ours = ", ".join(wanted or sorted(named)) or "nothing", ", ".join(entity_types)
            raise DataError(f"{self.path}: labels {theirs}, none of the model's types ({ours})")
        lacking = tuple(kind for kind in entity_types if kind not in labelled)
        if lacking:
            self.notes.append(f"{self.path}: does not label {', '.join(lacking)}: these stay open in it")
        counted = Counter(span.type for each in self._aligned.records for span in each.spans)
        foreign = [kind for kind in sorted(named) if kind not in entity_types]
        if foreign:
            told = ", ".join(f"{kind} {counted[kind]:,}" for kind in foreign)
            self.notes.append(f"{self.path}: {told}: the model has no such type: taught as no entity")
        types: dict[str, tuple[str, ...] | None] = dict.fromkeys(foreign, ())
        types |= {kind: (kind,) if kind in labelled else None for kind in named if kind in entity_types}
        return Declaration(types, lacking)


def read_aligned(path: Path) -> tuple[RecordFile, AlignmentReport]:
    """Read a file of labels, entities that are given by their text found in it.

    Returns
    -------
    tuple
        The records with all problems, and what aligning found. Of a sentence in which an entity was not found the
        entity's type is open.

    Raises
    ------
    DataError
        For a file that cannot be read.
    """
    lines, problems = read_lines(path)
    report = AlignmentReport()
    rewritten: dict[int, str] = {}
    for number, line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None  # blank, or a problem that read_records reports
        if not isinstance(record, dict) or not isinstance(record.get("text"), str) or text_problems(record["text"]):
            rewritten[number] = line
            continue
        wrong = _wrong_scores(record)
        if wrong:
            problems.append(Problem(path, number, wrong))
        aligned = with_offsets(record, f"{path}:{number}", report)
        rewritten[number] = json.dumps(aligned, ensure_ascii=False)
    last = max((*rewritten, *(problem.line for problem in problems)), default=0)
    text = "".join(rewritten.get(number, "") + "\n" for number in range(1, last + 1))
    file = read_records(path, text=text)
    file.blank_lines -= sum(number not in rewritten for number in range(1, last + 1))
    file.problems = sorted((*file.problems, *problems), key=lambda problem: problem.line)
    return file, report


def _wrong_scores(record: dict[str, Any]) -> str:
    entities = record.get("entities")
    for entity in entities if isinstance(entities, list) else ():
        score = entity.get("score", 1.0) if isinstance(entity, dict) else 1.0
        if type(score) not in (int, float) or not 0 <= score <= 1:
            return f"the score of an entity is {score!r}; a number from 0 to 1 is accepted"
    return ""


def with_offsets(record: dict[str, Any], where: str, report: AlignmentReport) -> dict[str, Any]:
    """Return a record whose entities all have offsets; those without a place leave their type open in it.

    ``"label"`` may stand for ``"type"``, as GLiNER has it.
    """
    text, entities = record["text"], record.get("entities")
    if not isinstance(entities, list):
        return record
    placed: list[Any] = []
    mentions: list[Mention] = []
    for entity in entities:
        if isinstance(entity, dict) and "type" not in entity and "label" in entity:
            entity = {**entity, "type": entity["label"]}
        mention = _mention(entity, text)
        if mention is None:
            placed.append(entity)
        else:
            report.wrong_offsets += "start" in entity and "end" in entity
            mentions.append(mention)
    if not mentions:
        return {**record, "entities": placed}
    report.mentions += len(mentions)
    taken = [(each["start"], each["end"]) for each in placed if isinstance(each, dict) and _has_offsets(each)]
    alignment = align(text, mentions, taken)
    report.add(where, alignment)
    return {**record, "entities": [*placed, *map(entity_of, alignment.spans)], **opened(record, alignment.missing)}


def opened(record: dict[str, Any], missing: Sequence[Mention]) -> dict[str, Any]:
    """Return ``"open"`` of a record in which some entities have no place; nothing where all have one."""
    types = sorted({kind for mention in missing for kind in mention.types})
    if not types:
        return {}
    before = record.get("open", [])
    whole = {"start": 0, "end": len(record["text"]), "types": types}
    return {"open": [*before, whole] if isinstance(before, list) else [before, whole]}


def entity_of(span: GoldSpan) -> dict[str, Any]:
    """Return a span as a record's entity."""
    entity: dict[str, Any] = {"start": span.start, "end": span.end, "type": span.type}
    return entity | ({"also": list(span.also)} if span.also else {}) | ({"score": span.score})


def _mention(entity: Any, text: str) -> Mention | None:
    """Return what has to be found by its text: it has no offsets, or such as hold another text."""
    if not isinstance(entity, dict) or not isinstance(entity.get("text"), str) or text_problems(entity["text"]):
        return None
    kind, score, also = entity.get("type"), entity.get("score", 1.0), entity.get("also", [])
    if not isinstance(kind, str) or not kind.strip() or not are_names(also):
        return None
    if _has_offsets(entity) and text[entity["start"] : entity["end"]] == entity["text"] and entity["start"] >= 0:
        return None
    return Mention(entity["text"], kind, float(score) if type(score) in (int, float) else 1.0, tuple(also))


def _has_offsets(entity: dict[str, Any]) -> bool:
    return type(entity.get("start")) is int and type(entity.get("end")) is int


def below_threshold_open(record: Record, threshold: float, entity_types: tuple[str, ...]) -> Record:
    """Return a record of whose doubted entities nothing is said: their characters may be of any type, or of none."""
    doubted = [span for span in record.spans if span.score < threshold]
    if not doubted:
        return record
    stretches = tuple(OpenSpan(span.start, span.end, entity_types) for span in doubted)
    sure = tuple(span for span in record.spans if span.score >= threshold)
    return dataclasses.replace(record, spans=sure, open=(*record.open, *stretches))


def draw_by_score(sentence: Sentence, entity_types: tuple[str, ...], generator: random.Random) -> Sentence:
    """Return a sentence as an epoch teaches it: each entity stands with the probability of its score, else it is open.

    In the mean over the epochs the score is the weight of the entity's labels, beside the likelihood that they are
    unknown.
    """
    if all(span.score >= 1 for span in sentence.spans):
        return sentence
    doubted = [span for span in sentence.spans if generator.random() >= span.score]
    stretches = tuple(OpenSpan(span.start, span.end, entity_types) for span in doubted)
    taught = tuple(span for span in sentence.spans if span not in doubted)
    return dataclasses.replace(sentence, spans=taught, open=(*sentence.open, *stretches))
