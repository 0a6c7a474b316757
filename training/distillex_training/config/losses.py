"""The losses that a student may learn from a teacher with, by the names that the field has for them."""

from __future__ import annotations

import enum
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FUNCTIONS = "distillex_training.lessons"
"""The module of the functions; it needs torch, which a look at the settings does not."""


class Needs(str, enum.Enum):
    """What a loss reads of the teacher."""

    SPANS = "spans"
    """Its best entities, as labels."""
    MARGINALS = "marginals"
    EMISSIONS = "emissions"
    PATHS = "paths"
    HIDDEN = "hidden"

    @property
    def known_of_new_characters(self) -> bool:
        """Tell whether it is known of characters that stand for those that the teacher read as well."""
        return self in (Needs.SPANS, Needs.MARGINALS)

    @property
    def said_by_models_alone(self) -> bool:
        """Tell whether it is what a model says of each character: a file of labels does not hold it."""
        return self not in (Needs.SPANS, Needs.PATHS)

    @property
    def label_by_label(self) -> bool:
        """Tell whether each label's score is compared: with a teacher of the very same labels alone."""
        return self is Needs.EMISSIONS


@dataclass(frozen=True)
class Loss:
    """A loss against the teacher."""

    name: str
    """Name of its weight, ``distillation.losses.NAME``."""
    needs: Needs
    function: str
    """In :mod:`distillex_training.lessons`."""
    compares: str
    """For the documentation."""
    source: str

    def resolve(self) -> Callable[[Any], Any]:
        """Return the function: a :class:`~distillex_training.lessons.Lesson` → the loss."""
        function: Callable[[Any], Any] = pkgutil.resolve_name(f"{FUNCTIONS}:{self.function}")
        return function


LOSSES = {
    loss.name: loss
    for loss in (
        Loss(
            *("viterbi", Needs.SPANS, "viterbi"),
            "CRF likelihood of the teacher's best sequence",
            "Kim and Rush, EMNLP 2016",
        ),
        Loss(
            *("token_kl", Needs.MARGINALS, "token_kl"),
            "the student's softmax over emissions with the teacher's CRF posteriors",
            "Wang et al., ACL 2020",
        ),
        Loss(
            *("crf_marginal_kl", Needs.MARGINALS, "crf_marginal_kl"),
            "the student's own CRF posteriors with the teacher's",
            "Wang et al., ACL 2020",
        ),
        Loss(
            *("k_best", Needs.PATHS, "k_best"),
            "CRF likelihood of the teacher's `paths` best sequences, weighted by its belief in each",
            "Wang et al., ACL 2020",
        ),
        Loss(
            *("logit_mse", Needs.EMISSIONS, "logit_mse"),
            "squared difference of the emissions, their mean over labels taken off",
            "Ba and Caruana, NeurIPS 2014",
        ),
        Loss(
            *("logit_kl", Needs.EMISSIONS, "logit_kl"),
            "KL divergence of the emissions' softmax",
            "Hinton et al., 2015",
        ),
        Loss(
            *("hidden_mse", Needs.HIDDEN, "hidden_mse"),
            "squared difference of the encoders' outputs, the student's through a learnt projection; the cache takes "
            "two bytes a character and unit of the teacher's width",
            "Romero et al., ICLR 2015",
        ),
    )
}
"""In the order in which they are summed. One more is a line here and its function."""
