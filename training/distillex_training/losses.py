"""Distillation losses: pure functions, each naming its source.

B = batch, C = characters, L = labels, K = best paths, W = hidden width. Each returns a mean over characters (or over
sentences, where it says so), so that weights mean the same for long and short sentences.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from distillex_training.log_partition import LogPartition


class CrfScores(NamedTuple):
    """A linear-chain CRF's parameters as plain tensors."""

    transitions: Tensor
    """From row to column. *Shape:* [L, L]."""
    start: Tensor
    """*Shape:* [L]."""
    end: Tensor
    """*Shape:* [L]."""


FORBIDDEN = -1e4
"""Score of what cannot be."""


def with_open(log_probabilities: Tensor, open_labels: Tensor | None) -> Tensor:
    """Add the probability of labels that a teacher does not know to that of label 0, none. *Shape:* [..., L]."""
    if open_labels is None:
        return log_probabilities
    outside = torch.cat([log_probabilities[..., :1], log_probabilities[..., open_labels]], dim=-1)
    return torch.cat([outside.logsumexp(dim=-1, keepdim=True), log_probabilities[..., 1:]], dim=-1)


def marginal_cross_entropy(
    emissions: Tensor,
    marginals: Tensor,
    mask: Tensor,
    temperature: float = 1.0,
    open_labels: Tensor | None = None,
) -> Tensor:
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
    open_labels
        True on labels that the teacher does not know: they are right where it says 0, none. *Shape:* [L], bool.

    Returns
    -------
    Tensor
        Mean over characters. *Shape:* [].
    """
    log_probabilities = with_open(torch.log_softmax(emissions.float() / temperature, dim=-1), open_labels)
    losses = -(marginals * log_probabilities).sum(dim=-1)
    return (losses * mask).sum() / mask.sum() * temperature**2


def posterior_cross_entropy(
    emissions: Tensor, crf: CrfScores, marginals: Tensor, mask: Tensor, open_labels: Tensor | None = None
) -> Tensor:
    """Cross-entropy of the student's own CRF posterior marginals with the teacher's.

    Posterior distillation as in *Structure-Level Knowledge Distillation* (Wang et al., ACL 2020): gradients pass
    through the student's transitions too.

    Parameters
    ----------
    emissions
        The student's. *Shape:* [B, C, L].
    crf
        The student's.
    marginals
        The teacher's, each row a distribution. *Shape:* [B, C, L].
    mask
        True on characters; the first column is all True. *Shape:* [B, C].
    open_labels
        As of :func:`marginal_cross_entropy`.

    Returns
    -------
    Tensor
        Mean over characters. *Shape:* [].
    """
    # A label that the student's CRF forbids has a posterior of e^-10000: the floor keeps one character from ruling all.
    log_marginals = with_open(crf_log_marginals(emissions, crf, mask), open_labels).clamp(min=-30.0)
    losses = -(marginals * log_marginals).sum(dim=-1)
    return (losses * mask).sum() / mask.sum()


def best_paths_likelihood(
    emissions: Tensor,
    crf: CrfScores,
    paths: Tensor,
    scores: Tensor,
    mask: Tensor,
    temperature: float = 1.0,
    open_labels: Tensor | None = None,
) -> Tensor:
    """Negative log likelihood of the teacher's k best label sequences, weighted by the teacher's belief in each.

    Top-K distillation of *Structure-Level Knowledge Distillation* (Wang et al., ACL 2020); sequence-level knowledge
    distillation (Kim and Rush, EMNLP 2016) with K = 1.

    Parameters
    ----------
    emissions
        The student's. *Shape:* [B, C, L].
    crf
        The student's.
    paths
        The teacher's label sequences. *Shape:* [B, K, C], int64.
    scores
        The teacher's path scores; their softmax over K are the weights, and -inf marks a path that is not there.
        *Shape:* [B, K].
    mask
        True on characters; the first column is all True. *Shape:* [B, C].
    temperature
        Divides the teacher's scores: above 1 the lesser paths count more.
    open_labels
        As of :func:`marginal_cross_entropy`: a path is then all sequences that differ from it in these alone.

    Returns
    -------
    Tensor
        Mean over characters. *Shape:* [].
    """
    weights = torch.softmax(scores.float() / temperature, dim=-1)
    if open_labels is None:
        numerators = crf_path_scores(emissions, crf, paths, mask)
    else:
        numerators = _open_path_scores(emissions, crf, paths, mask, open_labels)
    likelihoods = numerators - crf_log_partition(emissions, crf, mask).unsqueeze(1)
    return -(weights * likelihoods).sum() / mask.sum()


def emission_error(emissions: Tensor, teacher_emissions: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of the emissions, each token's mean over labels taken off (a CRF does not see it).

    Logit regression of *Do Deep Nets Really Need to be Deep?* (Ba and Caruana, NeurIPS 2014), for taggers as in
    *XtremeDistil* (Mukherjee and Awadallah, ACL 2020).

    Parameters
    ----------
    emissions, teacher_emissions
        *Shape:* [B, C, L].
    mask
        True on characters. *Shape:* [B, C].

    Returns
    -------
    Tensor
        Mean over characters and labels. *Shape:* [].
    """
    ours = emissions.float() - emissions.float().mean(dim=-1, keepdim=True)
    theirs = teacher_emissions - teacher_emissions.mean(dim=-1, keepdim=True)
    losses = ((ours - theirs) ** 2).mean(dim=-1)
    return (losses * mask).sum() / mask.sum()


def emission_divergence(emissions: Tensor, teacher_emissions: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """Kullback-Leibler divergence of the emissions' softmax from the teacher's.

    *Distilling the Knowledge in a Neural Network* (Hinton et al., 2015), token by token, the CRFs left out.

    Parameters
    ----------
    emissions, teacher_emissions
        *Shape:* [B, C, L].
    mask
        True on characters. *Shape:* [B, C].
    temperature
        Divides both; the loss is multiplied by its square.

    Returns
    -------
    Tensor
        Mean over characters. *Shape:* [].
    """
    ours = torch.log_softmax(emissions.float() / temperature, dim=-1)
    theirs = torch.log_softmax(teacher_emissions / temperature, dim=-1)
    losses = functional.kl_div(ours, theirs, reduction="none", log_target=True).sum(dim=-1)
    return (losses * mask).sum() / mask.sum() * temperature**2


def hidden_error(projected: Tensor, teacher_hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of the student's projected hidden states and the teacher's.

    *FitNets* (Romero et al., ICLR 2015); for transformers *TinyBERT* (Jiao et al., Findings of EMNLP 2020).

    Parameters
    ----------
    projected
        The student's hidden states after a learnt projection to the teacher's width. *Shape:* [B, C, W].
    teacher_hidden
        *Shape:* [B, C, W].
    mask
        True on characters. *Shape:* [B, C].

    Returns
    -------
    Tensor
        Mean over characters and width. *Shape:* [].
    """
    losses = ((projected.float() - teacher_hidden) ** 2).mean(dim=-1)
    return (losses * mask).sum() / mask.sum()


def crf_log_partition(emissions: Tensor, crf: CrfScores, mask: Tensor) -> Tensor:
    """Logarithm of the sum over all label sequences. *Shape:* emissions [B, C, L], mask [B, C] → [B]."""
    partition: Tensor = LogPartition.apply(emissions, *crf, mask)  # type: ignore[no-untyped-call]
    return partition


def crf_path_scores(emissions: Tensor, crf: CrfScores, paths: Tensor, mask: Tensor) -> Tensor:
    """Score of label sequences. *Shape:* emissions [B, C, L], paths [B, K, C], mask [B, C] → [B, K]."""
    valid = mask.unsqueeze(1).to(emissions.dtype)
    along = emissions.unsqueeze(1).expand(-1, paths.shape[1], -1, -1).gather(3, paths.unsqueeze(-1)).squeeze(-1)
    between = crf.transitions[paths[..., :-1], paths[..., 1:]]
    last = (mask.sum(dim=1) - 1).view(-1, 1, 1).expand(-1, paths.shape[1], 1)
    ends = crf.end[paths.gather(2, last).squeeze(-1)]
    return (along * valid).sum(dim=-1) + (between * valid[..., 1:]).sum(dim=-1) + crf.start[paths[..., 0]] + ends


def _open_path_scores(emissions: Tensor, crf: CrfScores, paths: Tensor, mask: Tensor, open_labels: Tensor) -> Tensor:
    """Log sum over the sequences that differ from a path by open labels in place of 0 alone. *Shape:* [B, K]."""
    labels = emissions.shape[2]
    allowed = functional.one_hot(paths, labels).bool() | ((paths == 0).unsqueeze(-1) & open_labels)
    each = emissions.unsqueeze(1).masked_fill(~allowed, FORBIDDEN).flatten(0, 1)
    masks = mask.unsqueeze(1).expand(-1, paths.shape[1], -1).flatten(0, 1)
    return crf_log_partition(each, crf, masks).view(paths.shape[:2])


def crf_log_marginals(emissions: Tensor, crf: CrfScores, mask: Tensor) -> Tensor:
    """Log posterior of each label at each character (forward-backward); 0 on padding.

    *Shape:* emissions [B, C, L], mask [B, C] → [B, C, L].
    """
    forward = torch.stack(_forward(emissions, crf, mask), dim=1)
    backward = [crf.end.expand(emissions.shape[0], -1)]
    for t in range(emissions.shape[1] - 1, 0, -1):
        following = (emissions[:, t] + backward[-1]).unsqueeze(1)
        step = torch.logsumexp(crf.transitions + following, dim=-1)
        backward.append(torch.where(mask[:, t].unsqueeze(-1), step, backward[-1]))
    joined = forward + torch.stack(backward[::-1], dim=1)
    return torch.log_softmax(joined, dim=-1) * mask.unsqueeze(-1)


def _forward(emissions: Tensor, crf: CrfScores, mask: Tensor) -> list[Tensor]:
    """Log sums over the prefixes that end in each label; a row keeps its last value on padding. *Shape:* C x [B, L]."""
    scores = [crf.start + emissions[:, 0]]
    for t in range(1, emissions.shape[1]):
        step = torch.logsumexp(scores[-1].unsqueeze(2) + crf.transitions, dim=1) + emissions[:, t]
        scores.append(torch.where(mask[:, t].unsqueeze(-1), step, scores[-1]))
    return scores
