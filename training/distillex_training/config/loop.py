"""Settings of the training loop."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from distillex_training.config.values import (
    WITHOUT_EFFECT,
    Count,
    OneAlone,
    Rate,
    Seed,
    ShareBelowOne,
    Size,
    Switch,
    Weight,
    settings,
)


@settings(frozen=True)
class LoopConfig:
    """How to optimise."""

    epochs: Size = 20
    """Passes over the training text."""
    steps: Count = 0
    """Optimiser steps of the run; 0 lets ``epochs`` decide, else the run ends here, wherever the epoch is."""
    evaluate_steps: Count = 0
    """Evaluate every this many steps, and at the end of each epoch; 0: only at the end of each epoch."""
    batch_size: Size = 32
    """Most sentences in a batch."""
    max_characters: Size = 4096
    """Most padded characters in a batch."""
    warm_up: ShareBelowOne = 0.1
    """Share of all steps over which the learning rates rise."""
    weight_decay: Weight = 0.01
    """Weight decay of AdamW; the CRF has none."""
    gradient_clip: Rate = 1.0
    """Largest norm of the gradients."""
    accumulate: Size = 1
    """Batches per optimiser step."""
    averaging: ShareBelowOne = 0.999
    """Decay of the exponential moving average of the weights that is evaluated and saved; 0 turns it off."""
    bf16: Switch = False
    """Compute in bfloat16 where that is safe: faster on a GPU, and on a CPU with AMX or AVX-512 BF16."""
    fused: Switch = False
    """AdamW in one pass over the weights: faster, and equal up to rounding."""
    patience: Count = 0
    """Stop after so many evaluations without a better one; 0 never stops early."""
    checkpoint_minutes: Weight = field(default=5.0, metadata=WITHOUT_EFFECT)
    """Minutes between checkpoints within an epoch."""
    prefetch: Count = field(default=0, metadata=WITHOUT_EFFECT)
    """Batches whose features are computed ahead, in a thread beside the training step; of a CPU's step they are a
    hundredth."""
    trackers: Annotated[tuple[Literal["tensorboard", "wandb"], ...], OneAlone()] = field(
        default=(), metadata=WITHOUT_EFFECT
    )
    """Where the run is followed: ``tensorboard`` (files in the run directory) or ``wandb``; each needs its package."""
    log_steps: Size = field(default=50, metadata=WITHOUT_EFFECT)
    """Optimiser steps between two points that trackers get of the training loss."""
    seed: Seed = 1
    """Seed of the new weights, the order of sentences, dropout and augmentation."""
