"""What a student learns from its teacher on raw sentences: the losses by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from distillex_training.config.distillation import DistillationConfig
from distillex_training.config.losses import LOSSES
from distillex_training.data.batches import Batch
from distillex_training.losses import (
    best_paths_likelihood,
    emission_divergence,
    emission_error,
    hidden_error,
    marginal_cross_entropy,
    posterior_cross_entropy,
)
from distillex_training.models import ConstrainedCrf
from distillex_training.translated_cache import Caches


class Lesson:
    """Some raw sentences, what the student says of them, and what the teacher did."""

    def __init__(
        self,
        emissions: Tensor,
        projected: Tensor | None,
        crf: ConstrainedCrf,
        features: Batch,
        cache: Caches,
        rows: Sequence[int],
        switches: DistillationConfig,
        open_labels: Tensor | None = None,
    ) -> None:
        """*Shape:* emissions [B, C, L]; projected, the hidden states in the teacher's width, [B, C, W].

        ``rows``: of the sentences in the cache. ``open_labels``: those of the student that the teacher does not know;
        [L].
        """
        self.emissions = emissions
        self.projected = projected
        self.crf = crf
        self.features = features
        self.mask = features.mask
        self.switches = switches
        self.open_labels = open_labels
        self._cache = cache
        self._rows = rows

    @property
    def paths(self) -> tuple[Tensor, Tensor]:
        """The teacher's best paths and their scores. *Shape:* [B, K, C], [B, K]."""
        paths, scores = self._cache.paths(self._rows, self.emissions.shape[1])
        return paths.to(self.emissions.device), scores.to(self.emissions.device)

    @property
    def teacher_emissions(self) -> Tensor:
        """*Shape:* [B, C, L]."""
        return self._cache.emissions(self._rows, self.emissions.shape[1]).to(self.emissions.device)

    @property
    def teacher_hidden(self) -> Tensor:
        """*Shape:* [B, C, W]."""
        return self._cache.hidden(self._rows, self.emissions.shape[1]).to(self.emissions.device)

    @cached_property
    def marginals(self) -> Tensor:
        """The teacher's marginals where it saw the character, the label itself elsewhere. *Shape:* [B, C, L]."""
        device = self.features.labels.device
        longest = max(len(self._cache.text(row)) for row in self._rows)
        theirs = self._cache.marginals(self._rows, longest).to(device)
        labels = theirs.shape[2]
        origins = self.features.origins.unsqueeze(-1)
        moved = theirs.gather(1, origins.clamp(min=0).expand(-1, -1, labels))
        certain = nn.functional.one_hot(self.features.labels, labels).to(moved.dtype)
        return torch.where(origins >= 0, moved, certain)

    def loss(self) -> Tensor:
        """Return the weighted sum of the losses that are on."""
        total = torch.zeros((), device=self.emissions.device)
        for name in self.switches.switched_on:
            total = total + self.switches.losses[name] * LOSSES[name].resolve()(self)
        return total


def viterbi(lesson: Lesson) -> Tensor:
    """CRF likelihood of the teacher's best sequence."""
    features = lesson.features
    loss: Tensor = lesson.crf.loss(lesson.emissions, features.labels, lesson.mask, allowed=features.allowed)
    return loss


def token_kl(lesson: Lesson) -> Tensor:
    """:func:`~distillex_training.losses.marginal_cross_entropy`: the divergence, but for what is the teacher's own."""
    temperature = lesson.switches.temperature
    return marginal_cross_entropy(lesson.emissions, lesson.marginals, lesson.mask, temperature, lesson.open_labels)


def crf_marginal_kl(lesson: Lesson) -> Tensor:
    """:func:`~distillex_training.losses.posterior_cross_entropy`."""
    scores = lesson.crf.scores()
    return posterior_cross_entropy(lesson.emissions, scores, lesson.marginals, lesson.mask, lesson.open_labels)


def k_best(lesson: Lesson) -> Tensor:
    """:func:`~distillex_training.losses.best_paths_likelihood`."""
    return best_paths_likelihood(
        *(lesson.emissions, lesson.crf.scores(), *lesson.paths, lesson.mask, lesson.switches.temperature),
        open_labels=lesson.open_labels,
    )


def logit_mse(lesson: Lesson) -> Tensor:
    """:func:`~distillex_training.losses.emission_error`."""
    return emission_error(lesson.emissions, lesson.teacher_emissions, lesson.mask)


def logit_kl(lesson: Lesson) -> Tensor:
    """:func:`~distillex_training.losses.emission_divergence`."""
    temperature = lesson.switches.temperature
    return emission_divergence(lesson.emissions, lesson.teacher_emissions, lesson.mask, temperature)


def hidden_mse(lesson: Lesson) -> Tensor:
    """:func:`~distillex_training.losses.hidden_error`."""
    assert lesson.projected is not None
    return hidden_error(lesson.projected, lesson.teacher_hidden, lesson.mask)
