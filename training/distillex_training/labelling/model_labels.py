"""Label sentences with teachers or students of this project: what they find, with its posterior as the score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distillex_matcher import Lexicon

from distillex_training.data.records import GoldSpan, Record
from distillex_training.models import load_model
from distillex_training.models.directory import longest_input
from distillex_training.tagging import TaggingData
from distillex_training.teacher_cache import label_raw_text


def longest_text(models: Sequence[Path]) -> int:
    """Return how many code points all of some models read at once."""
    loaded = (load_model(directory) for directory in models)
    return min(longest_input(tagger, layout) for tagger, _, layout in loaded) - 2


def label_with_models(texts: Sequence[str], models: Sequence[Path], base: Lexicon, cache: Path) -> list[Record]:
    """Label sentences with the mean of some models; goes on where it was interrupted.

    Parameters
    ----------
    texts
        The sentences.
    models
        Model directories, at least one, all of the same entity types.
    base
        Lexicon that they read the text with.
    cache
        Folder of caches of teachers' outputs.

    Returns
    -------
    list of Record
        In the order of the texts.
    """
    _, crf, layout = load_model(models[0])
    data = TaggingData([], [], list(texts), base, layout, tuple(crf.scheme.entity_types))
    labelled = label_raw_text(models, data, cache)
    assert labelled is not None  # no limit was given
    found = {labelled.text(row): labelled.scored_spans(row) for row in range(len(labelled))}
    return [
        Record(Path(), 0, text, tuple(GoldSpan(start, end, kind, score=s) for start, end, kind, s in found[text]))
        for text in texts
    ]
