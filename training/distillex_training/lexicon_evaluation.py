"""How a model uses a run-time lexicon: the same data under right, wrong and mixed entries for unseen entities."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence, Sized
from dataclasses import dataclass

from distillex_matcher import CrfDecoder, FeatureLayout, Lexicon, is_word

from distillex_training.data.labelled import Sentence
from distillex_training.evaluate import (
    EmissionFunction,
    Report,
    Scores,
    predict_with_scores,
    recall_by_surface,
    trim,
    without_scores,
)
from distillex_training.measures import Measures, measure
from distillex_training.scored_span import ScoredSpan

LONGEST_PLAUSIBLE = 6
"""Characters of a word of the base lexicon that is a plausible entry."""
DRAWS_OF_AN_ENTRY = 20
SPARE_DRAWS = 10_000
"""With so many draws for each entry, and so many more, a text is taken to hold no further ones."""


@dataclass(frozen=True)
class ConditionResult:
    """Scores under one lexicon condition."""

    condition: str
    entries: int
    """Entries laid over the base lexicon."""
    predicted: list[list[ScoredSpan]]
    """What the model found in each sentence, trimmed."""
    measures: Measures
    seen: Scores
    unseen: Scores

    @property
    def report(self) -> Report:
        """Micro scores, and scores per type."""
        return self.measures.report


def right_entries(sentences: Sequence[Sentence], known_surfaces: Collection[str]) -> dict[str, str | None]:
    """Return the surface of every unseen entity that a lexicon can hold with its type (of several, the first met)."""
    words: dict[str, str | None] = {}
    for sentence in sentences:
        for span in sentence.spans:
            surface = sentence.text[span.start : span.end]
            if surface not in known_surfaces and is_word(surface):
                words.setdefault(surface, span.type)
    return words


def random_entries(
    sentences: Sequence[Sentence], entity_types: Sequence[str], count: int, avoid: Collection[str], seed: int
) -> dict[str, str | None]:
    """Return random n-grams of 2 to 8 characters of the same texts with random types; none is an unseen entity.

    They are fewer than ``count`` where the texts hold no more that are drawn in ``20 * count + 10,000`` draws.
    """
    generator = random.Random(seed)
    words: dict[str, str | None] = {}
    for _ in _draws(words, count):
        text = generator.choice(sentences).text
        length = generator.randint(2, 8)
        if length > len(text):
            continue
        start = generator.randrange(len(text) - length + 1)
        surface = text[start : start + length]
        if surface not in avoid and surface not in words and is_word(surface):
            words[surface] = generator.choice(entity_types)
    return words


def plausible_entries(
    sentences: Sequence[Sentence],
    base: Lexicon,
    entity_types: Sequence[str],
    count: int,
    avoid: Collection[str],
    seed: int,
    *,
    word_boundaries: bool = False,
) -> dict[str, str | None]:
    """Return wrong entries that a careless list might hold, unlike random n-grams.

    Four in five are words of the base lexicon that stand in the texts, of 2 to 6 characters, with a random type; one in
    ten is a gold entity with another type, one in ten a gold entity grown or shrunk by one character, with its type.
    None is in ``avoid``, none a gold entity of the type it is given. They are fewer than ``count`` as of
    :func:`random_entries`. ``word_boundaries``: as the layout says.
    """
    generator = random.Random(seed)
    gold = {(s.text[span.start : span.end], kind) for s in sentences for span in s.spans for kind in span.types}
    found = ((s.text, base.find(s.text, word_boundaries=word_boundaries)) for s in sentences)
    in_texts = {text[start:end] for text, matches in found for start, end, _ in matches}
    base_words = sorted(word for word in in_texts if 2 <= len(word) <= LONGEST_PLAUSIBLE)
    mentions = [(sentence.text, span) for sentence in sentences for span in sentence.spans]

    def base_word() -> tuple[str, str]:
        return generator.choice(base_words), generator.choice(entity_types)

    def other_type() -> tuple[str, str]:
        text, span = generator.choice(mentions)
        return text[span.start : span.end], generator.choice(entity_types)

    def other_bounds() -> tuple[str, str]:
        text, span = generator.choice(mentions)
        begins, ends = generator.choice(((-1, 0), (1, 0), (0, 1), (0, -1)))
        return text[max(0, span.start + begins) : span.end + ends], span.type

    kinds = [*((base_word,) * 8 if base_words else ()), *((other_type, other_bounds) if mentions else ())]
    words: dict[str, str | None] = {}
    for _ in _draws(words, count) if kinds else ():
        surface, kind = generator.choice(kinds)()
        if (surface, kind) not in gold and surface not in avoid and surface not in words and is_word(surface):
            words[surface] = kind
    return words


def _draws(words: Sized, count: int) -> Iterator[int]:
    """Yield as long as words are missing, and a further draw may be made."""
    for draw in range(DRAWS_OF_AN_ENTRY * count + SPARE_DRAWS):
        if len(words) >= count:
            return
        yield draw


def evaluate_conditions(
    layout: FeatureLayout,
    emissions_of: EmissionFunction,
    decoder: CrfDecoder,
    sentences: Sequence[Sentence],
    known_surfaces: Collection[str],
    base: Lexicon,
    *,
    domain: Lexicon | None = None,
    seed: int = 1,
    groups: Sequence[Sequence[str]] = (),
    trimmed: str = "",
) -> list[ConditionResult]:
    """Score one model under each lexicon condition.

    Parameters
    ----------
    layout, emissions_of, decoder
        The model.
    sentences
        Labelled data.
    known_surfaces
        Surfaces that are entities in the training set.
    base
        Base lexicon.
    domain
        A domain lexicon: one more condition, base + domain.
    seed
        Of the wrong entries.
    groups
        Types that the labels do not tell apart (:func:`~distillex_training.measures.measure`).
    trimmed
        Characters that are taken off both ends of what the model finds.
    """
    types = decoder.scheme.entity_types
    right = right_entries(sentences, known_surfaces)
    wrong = random_entries(sentences, types, len(right), right, seed)
    with_base = layout.featurizer(base)
    conditions: list[tuple[str, bool, dict[str, str | None] | Lexicon]] = [
        ("empty", False, {}),
        ("base", True, {}),
        ("base + right entries for unseen entities", True, right),
        ("base + as many wrong entries", True, wrong),
        ("base + right and wrong entries 1:1", True, wrong | right),
    ]
    if domain is not None:
        conditions.append((f"base + {domain.name or 'domain lexicon'}", True, domain))
    results = []
    texts = [sentence.text for sentence in sentences]
    for name, use_base, words in conditions:
        overlay = words if isinstance(words, Lexicon) else Lexicon.from_words(words)
        found = predict_with_scores(
            with_base if use_base else with_base.with_base(None),
            emissions_of,
            decoder,
            texts,
            overlay=[overlay] if len(overlay) else [],
        )
        predicted = trim(sentences, found, trimmed)
        seen, unseen = recall_by_surface(sentences, without_scores(predicted), known_surfaces)
        measures = measure(sentences, predicted, groups)
        results.append(ConditionResult(name, len(overlay), predicted, measures, seen, unseen))
    return results
