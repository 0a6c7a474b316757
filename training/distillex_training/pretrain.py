"""Train an encoder as a masked language model on raw text, from scratch or going on from a pretrained one."""

from __future__ import annotations

import hashlib
import logging
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from distillex_matcher import Lexicon, normalize
from torch import Tensor
from torch.nn import functional

from distillex_training import processes
from distillex_training.config import PretrainRun
from distillex_training.curves import draw_curves
from distillex_training.data.vocabulary import SPECIAL_TOKENS, build_vocabulary
from distillex_training.errors import ConfigError
from distillex_training.masking import mask_tokens
from distillex_training.models.encoders import (
    ATTENTION_DROPOUTS,
    HIDDEN_DROPOUTS,
    check_settings,
    dropout_settings,
    longest_input,
)
from distillex_training.models.masked_lm import MaskedLanguageModel, new_encoder, save_encoder
from distillex_training.models.teacher import load_encoder, tokens_of
from distillex_training.pretraining_data import TokenCorpus, pack, stream_raw, tokenise
from distillex_training.run_directory import train_in
from distillex_training.run_state import METRICS
from distillex_training.task import BatchSize

LOG = logging.getLogger("distillex.training")
PADDING, BEGIN, SEPARATOR = (SPECIAL_TOKENS.index(token) for token in ("[PAD]", "[CLS]", "[SEP]"))
DROPOUTS = (*HIDDEN_DROPOUTS, *ATTENTION_DROPOUTS)


@dataclass(frozen=True)
class MaskedBatch:
    """Sequences in which tokens are to be guessed."""

    input_ids: Tensor
    """*Shape:* [B, T], int64."""
    mask: Tensor | None
    """True on tokens; None where there is no padding. *Shape:* [B, T]."""
    positions: Tensor
    """Where to guess: indices into the flattened [B * T]. *Shape:* [M], int64."""
    targets: Tensor
    """The tokens that stood there. *Shape:* [M], int64."""
    tokens: int
    """Without the padding."""


@dataclass(frozen=True)
class PackedBatch:
    """Sequences of whole sentences."""

    index: int
    """Place in the epoch; with seed and epoch it decides what is masked."""
    sequences: list[list[int]]
    """Sentences of the corpus, a list a sequence."""


class PretrainTask:
    """Guess masked tokens."""

    metric = "masked_accuracy"

    def __init__(
        self, model: MaskedLanguageModel, corpus: TokenCorpus, vocabulary: tuple[str, ...], run: PretrainRun
    ) -> None:
        self._model = model
        self._corpus = corpus
        self._vocabulary = vocabulary
        self._run = run
        order = list(range(len(corpus)))
        random.Random(run.loop.seed).shuffle(order)
        held_out = min(run.held_out, len(order) // 10)
        if held_out < 1:
            raise ConfigError(
                f"held_out: {run.held_out} of {len(order)} sentences, at most a tenth of them, leave none to measure on"
            )
        self._held_out, self._sentences = sorted(order[:held_out]), sorted(order[held_out:])
        self._lengths = [corpus.length(i) for i in self._sentences]
        config = model.encoder.config
        self._saved_settings = {name: getattr(config, name) for name in DROPOUTS if hasattr(config, name)}
        self._packed: tuple[int, list[PackedBatch]] | None = None
        self._tokens = self._guesses = self._hits = 0
        self._since = time.monotonic()
        self._tokens_at_evaluation, self._evaluated = 0, time.monotonic()

    @property
    def meaning(self) -> str:
        """Checksum of the vocabulary."""
        return hashlib.sha256("\n".join(self._vocabulary).encode()).hexdigest()

    @property
    def model(self) -> MaskedLanguageModel:
        """Encoder and head."""
        return self._model

    def keep_settings(self, settings: dict[str, Any]) -> None:
        """Say what ``config.json`` shall hold instead of the settings of pretraining."""
        self._saved_settings |= settings

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Give encoder and new head a learning rate each; biases and layer norms get no weight decay."""
        groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
        for name, parameter in self._model.named_parameters():
            rate = self._run.learning_rate if name.startswith("encoder.") else self._run.head_learning_rate
            groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
        return [
            {"params": parameters, "lr": rate} | ({} if decayed else {"weight_decay": 0.0})
            for (rate, decayed), parameters in groups.items()
        ]

    def batches(self, epoch: int) -> list[PackedBatch]:
        """Pack the sentences afresh; deterministic in the seed and the epoch."""
        if self._packed is None or self._packed[0] != epoch:
            generator = random.Random(f"{self._run.loop.seed}-{epoch}-packing")
            packed = pack(self._lengths, self._run.sequence_length - 1, generator)
            sequences = [[self._sentences[i] for i in sequence] for sequence in packed]
            self._packed = epoch, self._batches_of(sequences)
            filled = sum(self._lengths) + len(self._lengths) + len(sequences)
            LOG.info("%d sequences, %.1f %% filled", len(sequences), 100 * filled / (len(sequences) * self._width))
        return self._packed[1]

    def size(self, batch: PackedBatch, epoch: int) -> BatchSize:  # noqa: ARG002
        """Tell how many sentences a batch holds."""
        return BatchSize(sum(map(len, batch.sequences)), len(batch.sequences) * self._width)

    def prepare(self, batch: PackedBatch, epoch: int) -> MaskedBatch:
        """Mask a batch."""
        return self._masked(batch, 1 + epoch)

    def loss(self, prepared: MaskedBatch) -> Tensor:
        """Return the cross-entropy of the masked tokens."""
        scores, targets = self._guess(prepared)
        self._tokens += prepared.tokens
        self._tokens_at_evaluation += prepared.tokens
        if not len(targets):  # a batch of characters that are all outside the vocabulary
            return scores.float().sum()
        loss = functional.cross_entropy(scores.float(), targets)
        self._guesses += len(targets)
        self._hits += int((scores.detach().argmax(dim=-1) == targets).sum())
        return loss

    def figures(self) -> dict[str, float]:
        """Return the share of the masked tokens that were guessed, and the speed, since the last call."""
        now = time.monotonic()
        figures = {
            "masked_accuracy": self._hits / max(1, self._guesses),
            "tokens_per_second": self._tokens / max(1e-9, now - self._since),
        }
        self._tokens = self._guesses = self._hits = 0
        self._since = now
        return figures

    def after_step(self) -> None:
        """Nothing to hold."""

    def evaluate(self) -> dict[str, float]:
        """Guess on the held-out sentences; the same tokens are masked each time."""
        begun = time.monotonic()
        packed = pack(
            [self._corpus.length(i) for i in self._held_out],
            self._run.sequence_length - 1,
            random.Random(self._run.loop.seed),
        )
        total = hits = guesses = 0.0
        self._model.eval()
        with torch.no_grad():
            for batch in self._batches_of([[self._held_out[i] for i in sequence] for sequence in packed]):
                with torch.autocast(self._device.type, torch.bfloat16, self._run.loop.bf16):
                    scores, targets = self._guess(self._masked(batch, 0))
                total += float(functional.cross_entropy(scores.float(), targets, reduction="sum"))
                hits += float((scores.argmax(dim=-1) == targets).sum())
                guesses += len(targets)
        self._model.train()
        if not guesses:
            raise ConfigError("held_out: no character of these sentences is in the vocabulary; hold out more of them")
        rate = self._tokens_at_evaluation / max(1e-9, begun - self._evaluated)
        self._tokens_at_evaluation, self._evaluated = 0, time.monotonic()
        self._since += self._evaluated - begun
        return {"masked_accuracy": hits / guesses, "dev_loss": total / guesses, "tokens_per_second": round(rate, 1)}

    def test(self, directory: Path) -> dict[str, float]:  # noqa: ARG002
        """Nothing: the held-out text is all there is."""
        return {}

    def save(self, directory: Path) -> None:
        """Write the encoder alone."""
        save_encoder(
            self._model.encoder,
            self._vocabulary,
            directory,
            self._saved_settings,
            half_precision=self._run.half_precision,
        )

    def publish(self, directory: Path) -> None:
        """Write the present encoder to ``encoder``."""
        self.save(directory / "encoder")

    @property
    def _width(self) -> int:
        return self._run.sequence_length

    @property
    def _device(self) -> torch.device:
        return self._model.bias.device

    def _batches_of(self, sequences: list[list[int]]) -> list[PackedBatch]:
        size = self._run.loop.batch_size
        return [
            PackedBatch(index, sequences[begin : begin + size])
            for index, begin in enumerate(range(0, len(sequences), size))
        ]

    def _guess(self, masked: MaskedBatch) -> tuple[Tensor, Tensor]:
        """Return scores and targets of the masked tokens."""
        ids, positions, targets = (
            each.to(self._device) for each in (masked.input_ids, masked.positions, masked.targets)
        )
        mask = None if masked.mask is None else masked.mask.to(self._device)
        return self._model(ids, mask, positions), targets

    def _masked(self, batch: PackedBatch, drawing: int) -> MaskedBatch:
        """Mask a batch; ``drawing``: 0 for evaluation, in training a number for each epoch."""
        input_ids = np.full((len(batch.sequences), self._width), PADDING, dtype=np.int64)
        word_starts = np.ones(input_ids.shape, dtype=np.bool_)
        input_ids[:, 0] = BEGIN
        for row, sentences in enumerate(batch.sequences):
            position = 1
            for sentence in sentences:
                tokens, starts = self._corpus.sentence(sentence)
                end = position + len(tokens)
                input_ids[row, position:end] = tokens
                word_starts[row, position:end] = starts
                input_ids[row, end] = SEPARATOR
                position = end + 1
        generator = np.random.default_rng([self._run.loop.seed, drawing, batch.index])
        masked = mask_tokens(input_ids, word_starts, self._model.guessed, generator, self._run.masked_share)
        real = input_ids != PADDING
        count = int(real.sum())
        mask = None if count == real.size else torch.from_numpy(real)
        arrays = (masked.input_ids, masked.positions, masked.targets)
        ids, positions, targets = map(torch.from_numpy, arrays)
        return MaskedBatch(ids, mask, positions, targets, count)


def pretraining_vocabulary(run: PretrainRun) -> tuple[tuple[str, ...], int]:
    """Return the vocabulary, and how many of its tokens, from the first, occur in the raw text and can be guessed.

    Characters that only the initial encoder knows follow at the end: they cost a row each and keep what it learnt, for
    fine-tuning on text that has them.
    """
    ours = build_vocabulary(stream_raw(run.raw, run.sequence_length), minimum_count=run.minimum_count)
    if run.init is None:
        return ours, len(ours)
    known = set(ours)
    others = [token for token in tokens_of(run.init) if len(token) == 1 and token not in known and token.isprintable()]
    # What is seen as another character is never seen itself.
    others = [token for token in others if normalize(token) == token]
    return (*ours, *others), len(ours)


def pretrain(
    run: PretrainRun, directory: Path, *, max_steps: int | None = None, resume_with_changes: bool = False
) -> dict[str, float]:
    """Train (or go on training) an encoder in a run directory.

    ``directory/encoder`` holds the encoder as of the last checkpoint, ``directory/best`` the one that guessed best on
    the held-out text; ``AutoModel.from_pretrained`` and the key ``encoder`` of a teacher's configuration take both.
    ``directory/curve.png`` shows loss and accuracy.

    Returns
    -------
    dict
        Held-out masked accuracy, loss and speed of the best evaluation.

    Raises
    ------
    ConfigError
        For settings that do not go together.
    RunDirectoryError
        For a directory that holds another run.
    """
    best = train_in(
        *(directory, run, lambda: _task(run, directory)),
        max_steps=max_steps,
        resume_with_changes=resume_with_changes,
    )
    if (directory / METRICS).exists() and processes.is_first():
        draw_curves(directory / METRICS, directory / "curve.png", (("loss", "dev_loss"), ("masked_accuracy",)))
    return best


def _task(run: PretrainRun, directory: Path) -> PretrainTask:
    torch.manual_seed(run.loop.seed)
    vocabulary, guessed = pretraining_vocabulary(run)
    lexicon = None
    if run.whole_word and run.lexicon is not None:
        lexicon = Lexicon.load(run.lexicon)
    with processes.first_goes_ahead():
        corpus = tokenise(directory / "corpus", run.raw, vocabulary, lexicon, run.sequence_length - 2)
    if guessed < 2 + len(SPECIAL_TOKENS):
        raise ConfigError(
            f"minimum_count: hardly a character occurs {run.minimum_count} times: there is nothing to guess"
        )
    LOG.info("%d sentences, %d characters, vocabulary %d (%d)", len(corpus), corpus.tokens, len(vocabulary), guessed)
    original: dict[str, Any]
    if run.init is not None:
        loaded, original, lacking = load_encoder(run.init, vocabulary)
        LOG.info("%d of %d tokens have no row in %s: %s", len(lacking), len(vocabulary), run.init, lacking[:20])
        kept = {name: getattr(loaded.config, name) for name in DROPOUTS if hasattr(loaded.config, name)}
    else:
        loaded, original = None, dict(run.encoder)
        kept = {}
        check_settings(original["model_type"], {k: v for k, v in original.items() if k != "model_type"})
    settings = dropout_settings(original["model_type"], run.dropout, run.attention_dropout)
    encoder = new_encoder(original | settings | {"attn_implementation": run.attention}, len(vocabulary))
    if loaded is not None:
        encoder.load_state_dict(loaded.state_dict())
    longest = longest_input(encoder)
    if longest is not None and run.sequence_length > longest:
        raise ConfigError(f"sequence_length: {run.sequence_length} is more than the encoder's {longest} positions")
    model = MaskedLanguageModel(encoder, guessed)
    LOG.info("encoder: %.2f M parameters", sum(p.numel() for p in encoder.parameters()) / 1e6)
    task = PretrainTask(model, corpus, vocabulary, run)
    task.keep_settings(kept)
    return task
