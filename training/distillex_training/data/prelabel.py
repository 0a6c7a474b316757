"""Labelling raw text with a model, for people to look over; and how certain the model is of each text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from distillex_matcher import Lexicon
from numpy.typing import NDArray

from distillex_training.data.records import GoldSpan, Record
from distillex_training.evaluate import Emissions, decode
from distillex_training.log_partition import LogPartition
from distillex_training.opened_model import EDGES, OpenedModel

BATCH_SIZE = 32


@dataclass(frozen=True)
class Prelabelled:
    """A text with a model's labels."""

    record: Record
    log_probability: float
    """Of the most probable label sequence, a character."""

    @property
    def confidence(self) -> float:
        """The geometric mean over characters of that sequence's probability, 0 to 1."""
        return math.exp(self.log_probability)


def prelabel(texts: Sequence[str], model: OpenedModel, base: Lexicon, source: Path) -> list[Prelabelled]:
    """Label texts with the base lexicon.

    Parameters
    ----------
    texts
        Each of at most ``model.longest_text`` code points.
    model, base
        What labels them.
    source
        What the records name as their file; their lines are the texts' numbers from 1 on.

    Returns
    -------
    list
        In the order of the texts.

    Raises
    ------
    NotFiniteError
        For emissions that are not finite.
    """
    featurizer = model.layout.featurizer(base)
    found: dict[int, Prelabelled] = {}
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
    for begin in range(0, len(order), BATCH_SIZE):
        rows = order[begin : begin + BATCH_SIZE]
        batch = [texts[i] for i in rows]
        features = featurizer.featurize(batch)
        emissions = model.emissions_of(features)
        spans = decode(model.decoder, Emissions(emissions, features.lengths), batch)
        logs = _log_probabilities(model, emissions, features.lengths)
        for row, scored, log in zip(rows, spans, logs.tolist(), strict=True):
            labelled = tuple(sorted(GoldSpan(each.start, each.end, each.type) for each in scored))
            found[row] = Prelabelled(Record(source, row + 1, texts[row], labelled), log / len(texts[row]))
    return [found[i] for i in range(len(texts))]


def _log_probabilities(
    model: OpenedModel, emissions: NDArray[np.float32], lengths: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return the log probability of each row's best label sequence: its score less the log partition."""
    best = [paths[0][1] for paths in model.decoder.best_paths(emissions, lengths, 1)]
    characters = torch.from_numpy(lengths.reshape(-1).astype(np.int64)) - EDGES
    inner = torch.from_numpy(emissions[:, 1 : 1 + int(characters.max())]).double()
    mask = torch.arange(inner.shape[1]) < characters.unsqueeze(1)
    scores = (model.crf.transitions, model.crf.start, model.crf.end)
    with torch.no_grad():
        total: torch.Tensor = LogPartition.apply(  # type: ignore[no-untyped-call]
            inner, *(torch.tensor(each, dtype=torch.float64) for each in scores), mask
        )
    logs: NDArray[np.float64] = np.minimum(np.asarray(best, dtype=np.float64) - total.numpy(), 0.0)
    return logs
