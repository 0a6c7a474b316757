"""Start from an earlier model's weights, with other characters, lexicon types or entity types."""

from __future__ import annotations

from typing import TypeVar

import torch
from distillex_matcher import FeatureLayout
from torch import Tensor

from distillex_training.models.crf import ConstrainedCrf
from distillex_training.models.student import Student
from distillex_training.models.teacher import Teacher

Tagger = TypeVar("Tagger", Student, Teacher)


def start_from(
    tagger: Tagger,
    crf: ConstrainedCrf,
    layout: FeatureLayout,
    *,
    earlier: Tagger,
    earlier_crf: ConstrainedCrf,
    earlier_layout: FeatureLayout,
) -> None:
    """Copy an earlier model's weights into a new one, as far as they mean the same there.

    Embedding rows go by their characters and lexicon types, the rows of the layer that scores labels and the CRF's
    scores by their labels; those that the earlier model lacks stay as they are. Where no entity type is the same, that
    layer and the CRF stay as they are altogether. Owners of rows are taken over: they are numbers of the vocabulary's
    order, so a student with owned rows needs the earlier one's vocabulary.

    Raises
    ------
    ValueError
        For an earlier model of other sizes, naming the first weight that differs.
    """
    characters, types = tagger.character_table, tagger.fusion.type_embedding.weight
    labels, earlier_labels = crf.scheme.labels, earlier_crf.scheme.labels
    shares_types = not set(crf.scheme.entity_types).isdisjoint(earlier_crf.scheme.entity_types)
    named: dict[str, Tensor] = {**dict(tagger.named_parameters()), **dict(tagger.named_buffers())}
    with torch.no_grad():
        for name, weight in (*earlier.named_parameters(), *earlier.named_buffers()):
            target = named.get(name)
            if name.startswith("tag.") and target is not None and target.shape[1:] == weight.shape[1:]:
                if shares_types:
                    _copy_rows(target, labels, weight, earlier_labels)
                continue
            by_row = target is characters or target is types
            if target is None or target.shape[by_row:] != weight.shape[by_row:]:
                needed = "is not known here" if target is None else f"should be {tuple(target.shape)}"
                raise ValueError(f"init_from: its weight {name} of shape {tuple(weight.shape)} {needed}")
            if target is characters:
                _copy_rows(target, layout.vocabulary, weight, earlier_layout.vocabulary)
            elif target is types:
                target[0] = weight[0]
                _copy_rows(target[1:], layout.types, weight[1:], earlier_layout.types)
            else:
                target.copy_(weight)
        if shares_types:
            _copy_crf(crf, earlier_crf)


def _copy_crf(crf: ConstrainedCrf, earlier: ConstrainedCrf) -> None:
    ours, theirs = crf.scheme.labels, earlier.scheme.labels
    _copy_rows(crf.crf.start_transitions, ours, earlier.crf.start_transitions, theirs)
    _copy_rows(crf.crf.end_transitions, ours, earlier.crf.end_transitions, theirs)
    for row, label in enumerate(ours):
        if label in theirs:
            _copy_rows(crf.crf.transitions[row], ours, earlier.crf.transitions[theirs.index(label)], theirs)
    crf.hold_constraints()


def _copy_rows(target: Tensor, names: tuple[str, ...], source: Tensor, source_names: tuple[str, ...]) -> None:
    rows = {name: row for row, name in enumerate(source_names)}
    for index, name in enumerate(names):
        if name in rows:
            target[index] = source[rows[name]]
