"""Choose raw sentences to label next: those a model is least certain about, without near-duplicates.

The measure is the maximum normalized log-probability: the log of the most probable label sequence's posterior, divided
by the sentence's length, so that long sentences are not preferred for their length alone (Shen et al., *Deep Active
Learning for Named Entity Recognition*, ICLR 2018; without the division it is the least confidence of Culotta and
McCallum, *Reducing Labeling Effort for Structured Prediction Tasks*, AAAI 2005).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from distillex_training.data.convert import text_key
from distillex_training.data.prelabel import Prelabelled
from distillex_training.data.resemblance import RESEMBLANCE, Resembling

DIGITS = 6
"""Of the log-probability: what differs less is a tie, as the last digits depend on what a text was computed with."""


@dataclass
class Selected:
    """What was chosen, the least certain first, and what was passed over for it."""

    chosen: list[Prelabelled] = field(default_factory=list)
    known: int = 0
    """Sentences that are labelled already, or were chosen in another spelling."""
    alike: int = 0
    """Sentences that resemble a chosen or a labelled one."""


def select(
    candidates: Sequence[Prelabelled], count: int, *, labelled: Iterable[str] = (), resemblance: float = RESEMBLANCE
) -> Selected:
    """Choose sentences, the least certain first.

    Parameters
    ----------
    candidates
        What a model made of the raw sentences. Ties are broken by a digest of the text: neither by the order of the
        file, in which neighbours are often alike, nor by chance.
    count
        How many to choose; fewer are chosen where the others are alike.
    labelled
        Texts that are labelled already: neither they nor what resembles them is chosen.
    resemblance
        Share of the pairs of characters of two sentences from which they are alike, above 0; over 1: none are.
    """
    selected = Selected()
    near = Resembling(resemblance)
    known = set()
    for text in labelled:
        known.add(text_key(text))
        near.add(text)
    for each in sorted(candidates, key=_uncertainty):
        if len(selected.chosen) == count:
            break
        text = each.record.text
        key = text_key(text)
        if key in known:
            selected.known += 1
        elif near.holds(text):
            selected.alike += 1
        else:
            known.add(key)
            near.add(text)
            selected.chosen.append(each)
    return selected


def _uncertainty(each: Prelabelled) -> tuple[float, bytes]:
    return round(each.log_probability, DIGITS), hashlib.sha256(each.record.text.encode()).digest()
