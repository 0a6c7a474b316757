"""Everyday sentences whose words come with the request.

They are templates, filled anew in each epoch, and pieces of labelled sentences with other entities put in.

A template is a line of text. ``{company}`` is a slot; slots with the same number, ``{company1}…{company1}``, get the
same word; of ``(today|yesterday|)`` one is taken. Lines that begin with ``#`` are comments. Where ``time`` is an entity
type, times in a template's own words are labelled by rules.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from distillex_training.config.augmentation import EverydayConfig
from distillex_training.data.labelled import GoldSpan, Sentence
from distillex_training.data.records import Problem, read_lines
from distillex_training.data.substitution import crossing, disjoint
from distillex_training.data.times import TIME, times_beside
from distillex_training.data.words import filling_words, read_words
from distillex_training.errors import DataError

ALTERNATIVES = re.compile(r"\(([^()]*)\)")
SLOT = re.compile(r"\{([a-z_]+)([0-9]*)\}")
BRACE = re.compile(r"[{}]")
PIECE_END = re.compile(r"[，。！？；,!?;]")
OPENED, CLOSED = "《", "》"
LONGEST_PIECE = 32
"""Code points of a piece of a labelled sentence."""
DEPTH = 4
"""Forms may name slots that have forms themselves, so deep."""


@dataclass(frozen=True)
class Everyday:
    """A sentence made, and its words that are no entities."""

    sentence: Sentence
    plain: tuple[str, ...] = ()


@dataclass
class _Slot:
    type: str | None
    sources: list[list[str]]
    forms: list[str]


class EverydaySentences:
    """Draws everyday sentences."""

    def __init__(self, config: EverydayConfig, entity_types: Sequence[str], sentences: Sequence[Sentence]) -> None:
        """Read templates and words; ``sentences``: the labelled ones.

        Raises
        ------
        DataError
            For a list or templates that cannot be read, a template with an unknown slot, a slot without words or with a
            type that no label has.
        """
        self._config = config
        self._bracketed = bracketed_types(sentences)
        mentions: dict[str, dict[str, None]] = {}
        for sentence in sentences:
            for span in (span for span in sentence.spans if not span.also):
                surface = sentence.text[span.start : span.end].strip(OPENED + CLOSED)
                mentions.setdefault(span.type, {})[surface] = None
        self._slots: dict[str, _Slot] = {}
        for slot in config.slots:
            if slot.type is not None and slot.type not in entity_types:
                raise DataError(
                    f"everyday.slots: {slot.name} has the type {slot.type!r}; accepted: {', '.join(entity_types)}"
                )
            sources = [read_words(path, config.longest_word) for path in slot.words]
            if slot.mentions and slot.type is not None:
                labelled = list(mentions.get(slot.type, ()))
                sources.append(filling_words(labelled, config.longest_word, f"entities of the type {slot.type}"))
            sources = [source for source in sources if source]
            if not sources and not slot.forms:
                raise DataError(f"everyday.slots: {slot.name} has no word of 2 to {config.longest_word} characters")
            self._slots[slot.name] = _Slot(slot.type, sources, list(slot.forms))
        self._templates = [line for path in config.templates for line in self._read_templates(path)]
        self._labels_times = TIME in entity_types
        self._pieces = list(pieces(sentences)) if config.sentences > 0 and config.pieces > 0 else []
        if config.sentences > 0 and not self._templates and not self._pieces:
            raise DataError("everyday.sentences are wanted, but there are neither templates nor pieces")
        self._by_type: dict[str, list[str]] = {}
        for name, each in self._slots.items():
            if each.type is not None:
                self._by_type.setdefault(each.type, []).append(name)

    def listed_words(self) -> dict[str, list[str]]:
        """Words of the lists and the entity types that their slots give them."""
        listed: dict[str, dict[str, None]] = {}
        for slot in self._slots.values():
            if slot.type is not None:
                for source in slot.sources:
                    for word in source:
                        listed.setdefault(word, {})[slot.type] = None
        return {word: list(types) for word, types in listed.items()}

    def draw(self, generator: random.Random) -> Everyday:
        """Return a sentence: a template filled, or a piece with other entities."""
        if self._pieces and (not self._templates or generator.random() < self._config.pieces):
            return Everyday(self._exchange(generator.choice(self._pieces), generator))
        return self._fill(generator.choice(self._templates), generator)

    def _read_templates(self, path: Path) -> list[str]:
        lines, problems = read_lines(path)
        templates = []
        for number, line in lines:
            if not line.strip() or line.startswith("#"):
                continue
            unknown = [name for name, _ in SLOT.findall(line) if name not in self._slots]
            if unknown:
                known = ", ".join(self._slots)
                problems.append(Problem(path, number, f"no slot is named {unknown[0]!r}; there are: {known}"))
            elif BRACE.search(SLOT.sub("", line)):
                problems.append(Problem(path, number, "a brace that is no slot: {name} or {name1}"))
            templates.append(line.strip())
        if problems:
            raise DataError.of(problems)
        return templates

    def _fill(self, template: str, generator: random.Random) -> Everyday:
        parts = SLOT.split(_chosen(template, generator))
        text, spans, plain = "", [], []
        filled: dict[tuple[str, str], str] = {}
        for i in range(0, len(parts), 3):
            text += parts[i]
            if i + 1 == len(parts):
                break
            name, number = parts[i + 1 : i + 3]
            word = filled.get((name, number), "") if number else ""
            if not word:
                word = self._word(name, generator)
                filled[name, number] = word
            kind = self._slots[name].type
            if kind is None:
                plain.append(word)
            else:
                within = text.endswith(OPENED) and parts[i + 3].startswith(CLOSED) and kind in self._bracketed
                spans.append(GoldSpan(len(text) - within, len(text) + len(word) + within, kind))
            text += word
        if self._labels_times:
            spans += times_beside(text, spans)
        return Everyday(Sentence(text, tuple(sorted(spans))), tuple(plain))

    def _word(self, name: str, generator: random.Random, depth: int = DEPTH) -> str:
        slot = self._slots[name]
        place = generator.randrange(len(slot.sources) + len(slot.forms)) if depth else 0
        if place < len(slot.sources):
            word = generator.choice(slot.sources[place])
            if generator.random() < self._config.invented:
                word = crossing(word, generator.choice(slot.sources[place]), generator)
            return word
        form = _chosen(slot.forms[place - len(slot.sources)], generator)
        return SLOT.sub(lambda match: self._word(match[1], generator, depth - 1), form)

    def _exchange(self, sentence: Sentence, generator: random.Random) -> Sentence:
        text, end, spans = "", 0, []
        for span in sentence.spans:
            text += sentence.text[end : span.start]
            word = sentence.text[span.start : span.end]
            names = self._by_type.get(span.type)
            if names and generator.random() < 0.5:
                new = self._word(generator.choice(names), generator)
                word = f"{OPENED}{new}{CLOSED}" if word[0] == OPENED and word[-1] == CLOSED else new
            spans.append(GoldSpan(len(text), len(text) + len(word), span.type))
            text += word
            end = span.end
        return Sentence(text + sentence.text[end:], tuple(spans))


def bracketed_types(sentences: Iterable[Sentence]) -> set[str]:
    """Types whose entities, where they stand in 《》, are labelled with them more often than without."""
    balance: dict[str, int] = {}
    for sentence in sentences:
        for span in sentence.spans:
            within = sentence.text[span.start] == OPENED and sentence.text[span.end - 1] == CLOSED
            inside = (
                sentence.text[max(0, span.start - 1) : span.start] == OPENED
                and sentence.text[span.end : span.end + 1] == CLOSED
            )
            balance[span.type] = balance.get(span.type, 0) + within - inside
    return {kind for kind, more in balance.items() if more > 0}


def pieces(sentences: Iterable[Sentence]) -> Iterable[Sentence]:
    """Yield the parts of sentences between punctuation marks that hold an entity, with the mark that ends them."""
    for sentence in sentences:
        spans = [] if sentence.is_partial else disjoint(sentence.spans)
        begin = 0
        ends = [match.end() for match in PIECE_END.finditer(sentence.text)]
        for end in [*ends, len(sentence.text)]:
            if any(span.start < end < span.end for span in spans):
                continue
            inside = tuple(
                GoldSpan(s.start - begin, s.end - begin, s.type) for s in spans if begin <= s.start and s.end <= end
            )
            if inside and end - begin <= LONGEST_PIECE:
                yield Sentence(sentence.text[begin:end], inside)
            begin = end


def _chosen(template: str, generator: random.Random) -> str:
    """Take one of each group of alternatives, the inner ones first."""
    while ALTERNATIVES.search(template):
        template = ALTERNATIVES.sub(lambda match: generator.choice(match[1].split("|")), template)
    return template
