"""Sentences → padded model inputs, with lexicon overlays drawn afresh each epoch."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from distillex_matcher import Features, Featurizer, LabelScheme, Lexicon
from numpy.typing import NDArray
from torch import Tensor

from distillex_training.data.labelled import Sentence
from distillex_training.data.substitution import Exchanged


@dataclass(frozen=True)
class Batch:
    """Model inputs and gold labels of some sentences; C = T - 2 characters a row."""

    indices: tuple[int, ...]
    input_ids: Tensor
    """*Shape:* [B, T], int32."""
    lexicon_types: Tensor
    """*Shape:* [B, T, 4, K], int32."""
    lexicon_words: Tensor
    """*Shape:* [B, T, 4, K], int32."""
    lexicon_weights: Tensor
    """*Shape:* [B, T, 4, K], float32."""
    labels: Tensor
    """Of several allowed label sequences, that of each span's first type. *Shape:* [B, C], int64; 0 on padding."""
    mask: Tensor
    """True on characters. *Shape:* [B, C]."""
    origins: Tensor
    """Each character's place in its sentence before entities were exchanged; -1 for a new one, and on padding.
    *Shape:* [B, C], int64."""
    weights: Tensor
    """Of the sentences' losses. *Shape:* [B], float32."""
    allowed: Tensor | None = None
    """Labels that each character may have, all on padding; None where each has one. *Shape:* [B, C, L], bool."""

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        moved: dict[str, Any] = {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}
        return dataclasses.replace(self, **moved)

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What a model's ``forward`` takes."""
        return self.input_ids, self.lexicon_types, self.lexicon_words, self.lexicon_weights


def make_batch(
    featurizer: Featurizer,
    scheme: LabelScheme,
    drawn: Sequence[Exchanged],
    overlays: Sequence[Sequence[Lexicon]] | None = None,
    indices: Sequence[int] = (),
) -> Batch:
    """Featurise sentences and encode their gold spans; trims the padding to the longest sentence."""
    sentences = [each.sentence for each in drawn]
    features: Features = featurizer.featurize([sentence.text for sentence in sentences], overlays)
    tokens = int(features.lengths.max())
    origins = np.full((len(sentences), tokens - 2), -1, dtype=np.int64)
    labels = np.zeros((len(sentences), tokens - 2), dtype=np.int64)
    mask = np.zeros((len(sentences), tokens - 2), dtype=bool)
    for row, sentence in enumerate(sentences):
        length = len(sentence.text)
        labels[row, :length] = scheme.encode([(s.start, s.end, s.type) for s in sentence.spans], length)
        mask[row, :length] = True
        origins[row, :length] = drawn[row].origins
    allowed = None
    if any(sentence.is_partial for sentence in sentences):
        allowed = np.ones((*labels.shape, len(scheme)), dtype=bool)
        for row, sentence in enumerate(sentences):
            length = len(sentence.text)
            allowed[row, :length] = allowed_labels(sentence, scheme, labels[row, :length])
    return Batch(
        tuple(indices),
        torch.from_numpy(features.input_ids[:, :tokens]),
        torch.from_numpy(features.lexicon_types[:, :tokens]),
        torch.from_numpy(features.lexicon_words[:, :tokens]),
        torch.from_numpy(features.lexicon_weights[:, :tokens]),
        torch.from_numpy(labels),
        torch.from_numpy(mask),
        torch.from_numpy(origins),
        torch.tensor([sentence.weight for sentence in sentences], dtype=torch.float32),
        None if allowed is None else torch.from_numpy(allowed),
    )


def allowed_labels(sentence: Sentence, scheme: LabelScheme, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which labels each character of a partially labelled sentence may have.

    A span may have any of its types; outside the spans an open stretch may hold entities of its types, whole ones: the
    constraints of the label scheme see to that.

    Parameters
    ----------
    sentence
        C characters.
    scheme
        L labels.
    labels
        Those of the spans' first types. *Shape:* [C], int64.

    Returns
    -------
    ndarray
        *Shape:* [C, L], bool.
    """
    allowed: NDArray[np.bool_] = np.zeros((len(labels), len(scheme)), dtype=bool)
    allowed[np.arange(len(labels)), labels] = True
    covered = np.zeros(len(labels), dtype=bool)
    for span in sentence.spans:
        covered[span.start : span.end] = True
        length = span.end - span.start
        for kind in span.also:
            allowed[np.arange(span.start, span.end), scheme.encode([(0, length, kind)], length)] = True
    for stretch in sentence.open:
        inside = np.arange(stretch.start, stretch.end)
        inside = inside[~covered[inside]]
        for kind in stretch.types:
            if kind not in scheme.entity_types:
                continue  # no file labels it, so that the model has no such type
            # Beginning, middle and end of an entity, and one of a single character.
            for label in (*scheme.encode([(0, 3, kind)], 3), *scheme.encode([(0, 1, kind)], 1)):
                allowed[inside, label] = True
    return allowed


def length_bucketed_batches(
    lengths: Sequence[int], batch_size: int, max_characters: int, seed: int, epoch: int
) -> list[list[int]]:
    """Shuffle, then group sentences of similar length; deterministic in (seed, epoch).

    A batch holds at most ``batch_size`` sentences and about ``max_characters`` padded characters.
    """
    generator = random.Random(f"{seed}-{epoch}-batches")
    # The jitter mixes neighbours in length differently in each epoch.
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i] + generator.random() * 4, generator.random()))
    batches: list[list[int]] = []
    current: list[int] = []
    for index in order:
        if current and (len(current) == batch_size or (len(current) + 1) * lengths[index] > max_characters):
            batches.append(current)
            current = []
        current.append(index)
    batches.append(current)
    generator.shuffle(batches)
    return batches
