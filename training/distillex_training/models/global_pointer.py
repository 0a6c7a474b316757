"""A head that scores spans: EfficientGlobalPointer, its loss, and the spans that follow from its scores.

Su et al., *Global Pointer: Novel Efficient Span-based Approach for Named Entity Recognition*, arXiv:2208.03054, 2022.

Spans are kept in one row, the upper triangle of all pairs of a first and a last character: S = C (C + 1) / 2 for C
characters, in the order of :func:`span_bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from distillex_matcher import LabelScheme
from torch import Tensor, nn
from torch.nn import functional

from distillex_training.scored_span import ScoredSpan

WAVELENGTH = 10000.0
"""Of the slowest rotation, as in RoFormer."""
LEFT_OUT = -1e4
"""A score whose exponential is 0 in float32."""


def span_bounds(characters: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Return the first and the last character of each span. *Shape:* [S] each, int64."""
    first, last = torch.triu_indices(characters, characters, device=device)
    return first, last


def rotate(vectors: Tensor) -> Tensor:
    """Turn vectors by angles that grow with their place: rotary positions (Su et al., *RoFormer*, 2021).

    The product of two turned vectors depends on their places by their distance alone.

    Parameters
    ----------
    vectors
        Of the characters of a sentence, of even width. *Shape:* [B, C, W], float32.

    Returns
    -------
    Tensor
        *Shape:* [B, C, W].
    """
    characters, width = vectors.shape[1:]
    rates = WAVELENGTH ** (-torch.arange(0, width, 2, device=vectors.device) / width)
    angles = torch.arange(characters, device=vectors.device).unsqueeze(1) * rates
    even, odd = vectors[..., 0::2], vectors[..., 1::2]
    sine, cosine = angles.sin(), angles.cos()
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(2)


class EfficientGlobalPointer(nn.Module):
    """Score each span as each type: whether it is an entity, from all types' query and key, and of which type it is.

    ``s(i, j, t) = rotate(q_i) · rotate(k_j) / sqrt(width) + a_t · [q_i; k_i] + b_t · [q_j; k_j]`` with a bias. It is
    computed in float32: thousands of scores compete in the loss, and what is above 0 is an entity.
    """

    def __init__(self, inputs: int, types: int, width: int = 64) -> None:
        """Set up for characters of ``inputs`` units, with queries and keys of ``width`` units.

        Raises
        ------
        ValueError
            For an odd width: rotary positions turn pairs.
        """
        super().__init__()
        if width % 2:
            raise ValueError(f"width is {width}; an even number is accepted")
        self.width = width
        self.query_key = nn.Linear(inputs, 2 * width)
        self.type_at_ends = nn.Linear(2 * width, 2 * types)

    def forward(self, features: Tensor) -> Tensor:
        """Compute the scores of all spans, those of the padding too.

        Parameters
        ----------
        features
            Of the characters. *Shape:* [B, C, inputs].

        Returns
        -------
        Tensor
            *Shape:* [B, S, types], float32.
        """
        with torch.autocast(features.device.type, enabled=False):
            both = self.query_key(features.float())
            query, key = both.chunk(2, dim=-1)
            is_entity = rotate(query) @ rotate(key).transpose(1, 2) * self.width**-0.5
            at_begin, at_end = self.type_at_ends(both).chunk(2, dim=-1)
            first, last = span_bounds(features.shape[1], features.device)
            scores: Tensor = is_entity[:, first, last].unsqueeze(-1) + at_begin[:, first] + at_end[:, last]
        return scores


def multilabel_loss(scores: Tensor, gold: Tensor, counted: Tensor) -> Tensor:
    """``log(1 + Σ exp(s of the others)) + log(1 + Σ exp(-s of gold))``: all of gold above 0, all others below.

    It needs no balance of the two kinds, though nearly all spans are no entities. (The paper takes a
    row of it for each sentence and type.)

    Parameters
    ----------
    scores
        *Shape:* [..., N], float32.
    gold
        What is to be found. *Shape:* [..., N], bool.
    counted
        What is neither padding nor left open by the labels. *Shape:* that of ``scores``, or one that expands to it.

    Returns
    -------
    Tensor
        *Shape:* [...].
    """
    others = scores.masked_fill(gold | ~counted, LEFT_OUT)
    found = (-scores).masked_fill(~(gold & counted), LEFT_OUT)
    return functional.softplus(others.logsumexp(-1)) + functional.softplus(found.logsumexp(-1))


def gold_spans(labels: Tensor, scheme: LabelScheme) -> Tensor:
    """Tell which spans the gold labels make entities.

    Parameters
    ----------
    labels
        BIOES labels, 0 on padding. *Shape:* [B, C], int64.
    scheme
        What the labels mean.

    Returns
    -------
    Tensor
        *Shape:* [B, S, types], bool.
    """
    names = [label.partition("-") for label in scheme.labels]
    types = [scheme.entity_types.index(kind) if kind else -1 for _, _, kind in names]
    type_of, begins, ends = (
        torch.tensor(each, device=labels.device)
        for each in (types, [name[0] in "BS" for name in names], [name[0] in "ES" for name in names])
    )
    # Spans do not overlap, so that the nth begin and the nth end are of one span.
    row, begin = begins[labels].nonzero(as_tuple=True)
    _, end = ends[labels].nonzero(as_tuple=True)
    batch, characters = labels.shape
    gold = torch.zeros(batch, characters, characters, len(scheme.entity_types), dtype=torch.bool, device=labels.device)
    gold[row, begin, end, type_of[labels[row, begin]]] = True
    first, last = span_bounds(characters, labels.device)
    return gold[:, first, last]


def best_spans(
    scores: Tensor, lengths: Tensor, entity_types: Sequence[str], *, least_probability: float = 0.5
) -> list[list[ScoredSpan]]:
    """Return the entities of each sentence: the highest score first, each that overlaps none taken before.

    Parameters
    ----------
    scores
        Of all spans. *Shape:* [B, S, types].
    lengths
        Characters of each sentence. *Shape:* [B], integer.
    entity_types
        In the order of the scores.
    least_probability
        What a span's probability, the sigmoid of its score, has to be above; 0.5 is a score of 0.

    Returns
    -------
    list
        Spans in the order of the text, for each sentence.
    """
    characters = (math.isqrt(8 * scores.shape[1] + 1) - 1) // 2
    first, last = span_bounds(characters, scores.device)
    probabilities, types = scores.sigmoid().max(dim=-1)  # one span has one type
    wanted = (probabilities > least_probability) & (last < lengths.unsqueeze(1))
    found = []
    for row in range(len(scores)):
        places = wanted[row].nonzero().squeeze(1)
        places = places[probabilities[row, places].argsort(descending=True, stable=True)]
        candidates = zip(
            *(column[places].tolist() for column in (first, last, types[row], probabilities[row])), strict=True
        )
        free = [True] * int(lengths[row])
        kept = []
        for begin, end, kind, probability in candidates:
            if all(free[begin : end + 1]):
                free[begin : end + 1] = [False] * (end + 1 - begin)
                kept.append(ScoredSpan(begin, end + 1, entity_types[kind], probability))
        found.append(sorted(kept))
    return found
