"""The CRF (pytorch-crf) under the BIOES constraints of ``distillex_matcher.LabelScheme``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from distillex_matcher import CrfDecoder, CrfParameters, FeatureLayout, LabelScheme
from torch import Tensor, nn
from torchcrf import CRF

from distillex_training.losses import FORBIDDEN, CrfScores, crf_log_partition, crf_path_scores

__all__ = ["FORBIDDEN", "ConstrainedCrf"]


class ConstrainedCrf(nn.Module):
    """A linear-chain CRF whose forbidden transitions, starts and ends are held at ``FORBIDDEN``."""

    allowed_transitions: Tensor
    allowed_starts: Tensor
    allowed_ends: Tensor

    def __init__(self, entity_types: Sequence[str]) -> None:
        super().__init__()
        self.scheme = LabelScheme(entity_types)
        self.prefer: float | None = None  # of CrfParameters
        self.crf = CRF(len(self.scheme), batch_first=True)
        self.register_buffer("allowed_transitions", torch.from_numpy(self.scheme.allowed_transitions), persistent=False)
        self.register_buffer("allowed_starts", torch.from_numpy(self.scheme.allowed_starts), persistent=False)
        self.register_buffer("allowed_ends", torch.from_numpy(self.scheme.allowed_ends), persistent=False)
        self.hold_constraints()

    def hold_constraints(self) -> None:
        """Put the forbidden scores back after an optimiser step."""
        with torch.no_grad():
            self.crf.transitions.masked_fill_(~self.allowed_transitions, FORBIDDEN)
            self.crf.start_transitions.masked_fill_(~self.allowed_starts, FORBIDDEN)
            self.crf.end_transitions.masked_fill_(~self.allowed_ends, FORBIDDEN)

    def loss(
        self,
        emissions: Tensor,
        labels: Tensor,
        mask: Tensor,
        *,
        allowed: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Negative log likelihood per character.

        With ``allowed``, that of all label sequences whose labels are allowed together: Tsuboi et al., *Training
        Conditional Random Fields Using Incomplete Annotations*, COLING 2008.

        Parameters
        ----------
        emissions
            Of the characters alone. *Shape:* [B, C, L], float32.
        labels
            *Shape:* [B, C], int64.
        mask
            True on characters; the first column is all True. *Shape:* [B, C].
        allowed
            Labels that each character may have, at least one sequence of them; instead of ``labels``. *Shape:*
            [B, C, L], bool.
        weights
            Of the sentences. *Shape:* [B], float32.
        """
        scores = self.scores()
        if allowed is None:
            gold = crf_path_scores(emissions, scores, labels.unsqueeze(1), mask).squeeze(1)
        else:
            gold = crf_log_partition(emissions.masked_fill(~allowed, FORBIDDEN), scores, mask)
        lost = crf_log_partition(emissions, scores, mask) - gold
        return (lost if weights is None else lost * weights).sum() / mask.sum()

    def scores(self) -> CrfScores:
        """Return the trained scores as tensors that gradients pass through."""
        return CrfScores(self.crf.transitions, self.crf.start_transitions, self.crf.end_transitions)

    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """Best label ids by pytorch-crf; shapes as in :meth:`loss`."""
        paths: list[list[int]] = self.crf.decode(emissions, mask=mask)
        return paths

    def parameters_for_serving(self) -> CrfParameters:
        """Return the trained scores as the plain numbers that ``crf.json`` holds."""
        return CrfParameters(
            entity_types=tuple(self.scheme.entity_types),
            transitions=tuple(tuple(row) for row in self.crf.transitions.detach().float().tolist()),
            start=tuple(self.crf.start_transitions.detach().float().tolist()),
            end=tuple(self.crf.end_transitions.detach().float().tolist()),
            prefer=self.prefer,
        )

    def decoder(self, layout: FeatureLayout | None = None) -> CrfDecoder:
        """Return the C++ decoder with the present scores; ``layout`` as in :meth:`CrfParameters.decoder`."""
        return self.parameters_for_serving().decoder(layout)
