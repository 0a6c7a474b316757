"""Texts → entities: fold and featurise, run the network on rows of similar length, decode. Written once.

In process and in Triton's fused model this pipeline answers, in the ensemble its parts do; it knows none of them.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from distillex_matcher import CrfDecoder, FeatureLayout, Featurizer, Lexicon, Refusal
from distillex_matcher.lexicon_store import LexiconStore

from distillex.device import CPU, Device
from distillex.lexicon_layers import Layer, LexiconLayers
from distillex.lexicon_rights import LexiconRights
from distillex.locations import shipped_lexicons
from distillex.network import EmissionNetwork, open_network
from distillex.request_lexicons import Limits
from distillex.row_groups import STEP, RowGroup, group_rows

CALL_COST_TOKENS = 32
MOST_TOKENS_PER_RUN = 4096
GPU_CALL_COST_TOKENS = 2048
"""A run takes a GPU as long as so many tokens more in another."""
GPU_MOST_TOKENS_PER_RUN = 256 * 128
GPU_LEAST_TOKENS_PER_RUN = 2048
EDGES = 2
"""Tokens beside the code points: ``[CLS]`` and ``[SEP]``."""


@dataclass(frozen=True)
class PipelineOptions:
    """How texts are divided into runs of the network; what is found does not depend on it."""

    threads: int = 1
    """Runs side by side."""
    call_cost_tokens: int = CALL_COST_TOKENS
    """Rows of similar length are run together; a further run is worth so many tokens of padding saved."""
    most_tokens_per_run: int = MOST_TOKENS_PER_RUN
    """Rows x tokens of one run: bounds its memory."""
    least_tokens_per_run: int = 0
    """Texts of fewer tokens than this are not divided for the sake of further threads."""

    @staticmethod
    def of(device: Device, threads: int) -> PipelineOptions:
        """Return what suits a device."""
        if device.gpu is None:
            return PipelineOptions(threads)
        return PipelineOptions(threads, GPU_CALL_COST_TOKENS, GPU_MOST_TOKENS_PER_RUN, GPU_LEAST_TOKENS_PER_RUN)

    def __post_init__(self) -> None:
        accepted = {"threads": 1, "call_cost_tokens": 0, "most_tokens_per_run": 1, "least_tokens_per_run": 0}
        for name, least in accepted.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} {value!r}: a whole number from {least} on is accepted")


@dataclass(frozen=True)
class Answers:
    """What was found in each of several texts."""

    entities: list[bytes]
    """UTF-8 JSON, a list of ``{"start", "end", "type", "text", "score"}``; of a refused text ``[]``."""
    labels: list[str]
    """Which lexicons answered, such as ``base@1+finance@3``."""
    refused: list[Refusal | None]
    """Why a text, or what came with it, was refused."""
    request_words: int = 0
    """How many words came with the texts."""


class Pipeline:
    """A student or a teacher, ready to extract; may be used from several threads at once, in the process that made it.

    Parameters
    ----------
    folder
        Of an exported model.
    lexicons
        Those of a directory; by default the shipped ones.
    options, limits
        How to run; what the words that come with a text may be.
    device
        What runs the network.

    Raises
    ------
    LayoutError
        For files of the model that are missing, wrong or another model's.
    DeviceError
        Where the network cannot be run on the device.
    LexiconError
        Where the base lexicon is missing or cannot be used.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        lexicons: LexiconStore | None = None,
        options: PipelineOptions | None = None,
        limits: Limits | None = None,
        device: Device = CPU,
    ) -> None:
        self._options = options or PipelineOptions.of(device, 1)
        self._network: EmissionNetwork = open_network(folder, device)
        layout = self._network.files.layout
        self._most_tokens = layout.buckets[-1]
        self.text_rules = layout.text
        """What the model counts as a word, a sentence and a letter."""
        self.lexicons = LexiconLayers(_unpadded(layout), lexicons or LexiconStore(shipped_lexicons()), limits)
        self._decoder: CrfDecoder = self._network.files.crf.decoder(layout)
        self._pool = _Pool(self._options.threads)

    @property
    def where(self) -> str:
        """What runs the network."""
        return self._network.where

    @property
    def entity_types(self) -> tuple[str, ...]:
        """Types of the entities that are found."""
        return self._network.files.crf.entity_types

    def answer(
        self,
        texts: Sequence[bytes],
        *,
        names: Sequence[bytes] | None = None,
        words: Sequence[bytes] | None = None,
        trusts: Sequence[bytes] | None = None,
        first: Sequence[Layer] = (),
        rights: Sequence[LexiconRights | None] | None = None,
    ) -> Answers:
        """Extract from texts with the lexicons that requests name or bring.

        Parameters
        ----------
        texts
            UTF-8.
        names, words, trusts
            LEXICON_NAME, LEXICON and TRUST of each text; empty: none.
        first
            Lexicons that lie under these, for every text.
        rights
            Which named lexicons each text may use; None: all.
        """
        featurizer, label = self.lexicons.featurizer()
        layers = self.lexicons.over(label, len(texts), names, words, trusts, first, rights)
        entities, errors = self.extract(featurizer, texts, layers.overlays, layers.trusts)
        refused = layers.refused
        if any(refused):
            for row, problem in enumerate(refused):
                if problem is not None:
                    entities[row], errors[row] = b"[]", problem
        return Answers(entities, layers.labels, errors, sum(layers.request_words))

    def extract(
        self,
        featurizer: Featurizer,
        texts: Sequence[bytes],
        overlays: Sequence[Sequence[Lexicon]] | None,
        trusts: Sequence[str | float | None] | None = None,
    ) -> tuple[list[bytes], list[Refusal | None]]:
        """Return the entities of each text as JSON, and why it was refused.

        Parameters
        ----------
        featurizer
            Of :attr:`lexicons`.
        texts
            UTF-8.
        overlays
            What is laid over the base lexicon, for each text; None: nothing.
        trusts
            How far the words of each text's overlays are obeyed that have no trust of their own; None: not said.
        """
        if len(texts) == 1:
            return self._run(featurizer, texts, overlays, trusts)
        groups = self._groups(texts)
        entities: list[bytes] = [b"[]"] * len(texts)
        refused: list[Refusal | None] = [None] * len(texts)

        def run(group: RowGroup) -> None:
            rows = group.rows
            laid = None if overlays is None else [overlays[row] for row in rows]
            said = None if trusts is None else [trusts[row] for row in rows]
            found, errors = self._run(featurizer, [texts[row] for row in rows], laid, said)
            for row, json, error in zip(rows, found, errors, strict=True):
                entities[row], refused[row] = json, error

        self._pool.map(run, groups)
        return entities, refused

    def _groups(self, texts: Sequence[bytes]) -> list[RowGroup]:
        lengths = [_code_points(text) + EDGES for text in texts]
        # What is too long is refused, whichever rows it is with.
        lengths = [length if length <= self._most_tokens else 1 for length in lengths]
        options = self._options
        share = max(options.least_tokens_per_run, -(-sum(lengths) // options.threads))
        most = min(options.most_tokens_per_run, share)
        return group_rows(lengths, options.call_cost_tokens, most)

    def _run(
        self,
        featurizer: Featurizer,
        texts: Sequence[bytes],
        overlays: Sequence[Sequence[Lexicon]] | None,
        trusts: Sequence[str | float | None] | None,
    ) -> tuple[list[bytes], list[Refusal | None]]:
        features = featurizer.featurize(texts, overlays, trusts=trusts, strict=False)
        refused = list(features.errors)
        if all(error is not None for error in refused):
            return [b"[]"] * len(texts), refused
        emissions = self._network.run(
            features.input_ids, features.lexicon_types, features.lexicon_words, features.lexicon_weights
        )
        return self._decoder.entities_json(emissions, features.lengths, texts, features.trusted), refused


class _Pool:
    """Threads that are there when there is more than one thing to do."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def map(self, run: Callable[[RowGroup], None], groups: Sequence[RowGroup]) -> None:
        if self._threads == 1 or len(groups) < 2:
            for group in groups:
                run(group)
            return
        # The longest first, so that the threads end together.
        costly_first = sorted(groups, key=lambda group: -group.tokens * len(group.rows))
        for _ in self._threads_here().map(run, costly_first):
            pass

    def _threads_here(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="distillex")
            return self._executor


def _unpadded(layout: FeatureLayout) -> FeatureLayout:
    """Return the layout whose buckets pad rows no further than rows of similar length are apart."""
    longest = layout.buckets[-1]
    return dataclasses.replace(layout, buckets=(*range(STEP, longest, STEP), longest))


def _code_points(text: bytes) -> int:
    """Return how many there are; of what is not UTF-8, about how many."""
    return len(text.decode("utf-8", "replace"))
