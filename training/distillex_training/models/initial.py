"""Beginning with an earlier model's weights, whose characters, lexicon types and entity types may be others."""

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

    Embedding rows go by their characters and lexicon types; those that the earlier model lacks stay as they are. So do
    the layer that scores the labels and the CRF, where the entity types are others. Owners of rows are taken over: they
    are numbers of the vocabulary's order, so a student with owned rows needs the earlier one's vocabulary.

    Raises
    ------
    ValueError
        For an earlier model of other sizes, naming the first weight that differs.
    """
    characters, types = tagger.character_table, tagger.fusion.type_embedding.weight
    same_labels = earlier.config.entity_types == tagger.config.entity_types
    named: dict[str, Tensor] = {**dict(tagger.named_parameters()), **dict(tagger.named_buffers())}
    with torch.no_grad():
        for name, weight in (*earlier.named_parameters(), *earlier.named_buffers()):
            if name.startswith("tag.") and not same_labels:
                continue
            target = named.get(name)
            by_row = target is characters or target is types
            if target is None or target.shape[by_row:] != weight.shape[by_row:]:
                needed = "is not known here" if target is None else f"should be {tuple(target.shape)}"
                raise ValueError(f"initial: its weight {name} of shape {tuple(weight.shape)} {needed}")
            if target is characters:
                _copy_rows(target, layout.vocabulary, weight, earlier_layout.vocabulary)
            elif target is types:
                target[0] = weight[0]
                _copy_rows(target[1:], layout.types, weight[1:], earlier_layout.types)
            else:
                target.copy_(weight)
    if same_labels:
        crf.load_state_dict(earlier_crf.state_dict())


def _copy_rows(target: Tensor, names: tuple[str, ...], source: Tensor, source_names: tuple[str, ...]) -> None:
    rows = {name: row for row, name in enumerate(source_names)}
    for index, name in enumerate(names):
        if name in rows:
            target[index] = source[rows[name]]
