"""The mean of several models' weights: one model, no slower than each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from distillex_training.config.model_directory import read_description
from distillex_training.errors import ConfigError
from distillex_training.models import load_model, save_model
from distillex_training.preconditions import check_alike, check_model_output
from distillex_training.weight_storage import Storage


def average(directories: Sequence[Path], output: Path, *, storage: Storage = Storage.FLOAT32) -> None:
    """Write the mean of models that were trained on from one model (*model soup*: Wortsman et al., ICML 2022).

    Models that did not begin with the same weights have nothing to do with each other, and neither has their mean.

    Parameters
    ----------
    directories
        Model directories, at least one.
    output
        Model directory to write.
    storage
        How the weights are stored.

    Raises
    ------
    ConfigError
        For models of other sizes, entity types, vocabularies or owners of rows, naming the first that differs; for an
        output that is one of them.
    ModelDirectoryError
        For a directory that holds no model.
    """
    check_model_output(output, directories)
    check_alike(directories)
    first, *others = directories
    model, crf, layout = load_model(first)
    count = 1
    for directory in others:
        other, other_crf, _ = load_model(directory)
        count += 1
        for part, other_part in ((model, other), (crf, other_crf)):
            refusal = f"{directory}: not started from the same model as {first}"
            _move_towards(part, other_part.state_dict(), 1 / count, refusal)
    lexicon = read_description(first).lexicon
    save_model(output, model, crf, layout, storage=storage, lexicon=lexicon)


def _move_towards(part: nn.Module, weights: dict[str, Tensor], share: float, refusal: str) -> None:
    """Move a running mean towards weights; what is no weight (the owners of rows) has to be equal."""
    for name, tensor in part.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(weights[name], share)
        elif not torch.equal(tensor, weights[name]):
            raise ConfigError(f"{refusal}: {name} differs")
