"""A linear-chain CRF's log partition as one differentiable function.

Automatic differentiation of the recursion in logarithms takes an exponential a pair of labels and step, twice: a
quarter of a student's training step. Scaled probabilities (Rabiner, *A Tutorial on Hidden Markov Models*, 1989) need
one product of matrices a step, and the gradient is known: the posterior expectations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class LogPartition(torch.autograd.Function):
    """Log of the sum over all label sequences; computed in float64, which no gap between scores makes vanish."""

    @staticmethod
    def forward(ctx: Any, emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor) -> Tensor:
        """Compute.

        Parameters
        ----------
        ctx
            Torch's, for the backward pass.
        emissions
            *Shape:* [B, C, L].
        transitions, start, end
            *Shape:* [L, L], [L], [L].
        mask
            True on characters, which come first in each row; the first column is all True. *Shape:* [B, C].

        Returns
        -------
        Tensor
            In the dtype of ``emissions``. *Shape:* [B].
        """
        scores = emissions.double()
        highest = scores.amax(dim=-1, keepdim=True)
        factors = (scores - highest).exp()
        # [L, L], [L], [L]; forbidden transitions become 0.
        between, first, last = (each.double().exp() for each in (transitions, start, end))
        forward = torch.empty_like(factors)
        scales = torch.empty_like(highest)
        state = first * factors[:, 0]
        for t in range(factors.shape[1]):
            if t > 0:
                state = (state @ between) * factors[:, t]
            scales[:, t] = state.sum(dim=-1, keepdim=True)
            state = state / scales[:, t]
            forward[:, t] = state
        # What follows a row's last character is computed and not used.
        ending = mask.sum(dim=1) - 1
        total = forward[torch.arange(len(forward), device=forward.device), ending] @ last
        ctx.save_for_backward(factors, between, last, forward, scales, ending, total, mask)
        ctx.dtype = emissions.dtype
        logarithms = ((highest + scales.log()).squeeze(-1) * mask).sum(dim=1) + total.log()
        return logarithms.to(emissions.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return posterior expectations, each row's multiplied by its gradient."""
        factors, between, last, forward, scales, ending, total, mask = ctx.saved_tensors
        characters = factors.shape[1]
        at_end = torch.arange(characters, device=mask.device) == ending.unsqueeze(1)
        backward = torch.zeros_like(factors)
        weighted = torch.zeros_like(factors)  # what passes from a character back to the one before
        state = torch.zeros_like(factors[:, 0])
        for t in range(characters - 1, -1, -1):
            if t < characters - 1:
                state = weighted[:, t + 1] @ between.T
            state = torch.where(at_end[:, t, None], last, state)
            backward[:, t] = state
            weighted[:, t] = state * factors[:, t] / scales[:, t]
        share = (gradients[0].double() / total).view(-1, 1, 1)
        expected = forward * backward * share * mask.unsqueeze(-1)
        before = (forward[:, :-1] * share).flatten(0, 1)
        pairs = between * (before.T @ (weighted[:, 1:] * mask[:, 1:, None]).flatten(0, 1))
        ends = (expected * at_end.unsqueeze(-1)).sum(dim=(0, 1))
        results = (expected, pairs, expected[:, 0].sum(dim=0), ends)
        return (*(each.to(ctx.dtype) for each in results), None)
