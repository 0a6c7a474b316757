"""Distillation losses: pure functions, each naming its source."""

from __future__ import annotations

import torch
from torch import Tensor


def marginal_cross_entropy(emissions: Tensor, marginals: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """Cross-entropy of the student's token distributions with the teacher's CRF posterior marginals.

    Posterior distillation of *Structure-Level Knowledge Distillation* (Wang et al., ACL 2020), with the student's
    softmax over emissions in place of its own posterior.

    Parameters
    ----------
    emissions
        The student's. *Shape:* [B, C, L].
    marginals
        The teacher's, each row a distribution. *Shape:* [B, C, L].
    mask
        True on characters. *Shape:* [B, C].
    temperature
        Divides the emissions; the loss is multiplied by its square (Hinton et al. 2015).

    Returns
    -------
    Tensor
        Mean over characters. *Shape:* [].
    """
    log_probabilities = torch.log_softmax(emissions.float() / temperature, dim=-1)
    losses = -(marginals * log_probabilities).sum(dim=-1)
    return (losses * mask).sum() / mask.sum() * temperature**2
