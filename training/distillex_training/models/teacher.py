"""The teacher: a pretrained encoder, lexicon fusion on its output features, a two-layer head."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

from distillex_training.config.teacher import TeacherConfig
from distillex_training.data.vocabulary import SPECIAL_TOKENS
from distillex_training.errors import EncoderError
from distillex_training.models.dropout import Dropout
from distillex_training.models.encoders import check_built_anew, longest_input, number_positions_from_our_padding
from distillex_training.models.fusion import LexiconFusion
from distillex_training.models.word_pieces import PooledPieces, WordPieces, pieces_of_encoder

UNREADABLE = (OSError, RuntimeError, SafetensorError, ValueError)
"""What transformers raises for an encoder that is missing or damaged."""


class Teacher(nn.Module):
    """Features → emissions."""

    def __init__(self, config: TeacherConfig, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        if encoder is None:
            encoder = _new_encoder(config.encoder_config)
        self.encoder = encoder
        self.pieces: WordPieces | None = None
        """Cuts texts into pieces; set where ``config.word_pieces`` says so, before anything is computed."""
        self.pooled = PooledPieces(self.hidden_width) if config.word_pieces else None
        self.fusion = LexiconFusion(
            config.lexicon_types,
            config.word_hash_size,
            config.lexicon_embedding,
            config.lexicon_width,
            config.word_dropout,
        )
        self.head = nn.Linear(self.hidden_width + config.lexicon_width, config.head)
        self.tag: nn.Module = nn.Linear(config.head, 1 + 4 * len(config.entity_types))
        self.dropout = Dropout(config.dropout)

    @property
    def hidden_width(self) -> int:
        """Units of the encoder's output."""
        return int(self.config.encoder_config["hidden_size"])

    @property
    def longest_input(self) -> int | None:
        """Tokens that the encoder reads at once, ``[CLS]`` and ``[SEP]`` included; None: no limit.

        Of pieces, more of them than it reads take several rows.
        """
        return None if self.config.word_pieces else longest_input(self.encoder)

    @property
    def character_table(self) -> Tensor:
        """Embeddings of the characters; of one that is several pieces their mean. *Shape:* [vocabulary, W]."""
        encoder: Any = self.encoder
        table: Tensor = encoder.get_input_embeddings().weight
        if self.pieces is None:
            return table
        return torch.stack([table[ids or slice(None)].mean(dim=0) for ids in self.pieces.of_characters()])

    def forward(
        self, input_ids: Tensor, lexicon_types: Tensor, lexicon_words: Tensor, lexicon_weights: Tensor
    ) -> Tensor:
        """Compute emission scores; shapes as in :class:`~distillex_training.models.student.Student`."""
        emissions, _ = self.forward_with_hidden(input_ids, lexicon_types, lexicon_words, lexicon_weights)
        return emissions

    def forward_with_hidden(
        self, input_ids: Tensor, lexicon_types: Tensor, lexicon_words: Tensor, lexicon_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Like :meth:`forward`, with the encoder's output too. *Shape:* [B, T, L], [B, T, hidden_size]."""
        features, hidden = self.features(input_ids, lexicon_types, lexicon_words, lexicon_weights)
        emissions: Tensor = self.tag(features)
        return emissions, hidden

    def features(
        self, input_ids: Tensor, lexicon_types: Tensor, lexicon_words: Tensor, lexicon_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the last layer's input and the encoder's output. *Shape:* [B, T, head], [B, T, hidden_size]."""
        hidden = self._read(input_ids)
        lexicon = self.fusion(lexicon_types, lexicon_words, lexicon_weights)
        joined = self.dropout(torch.cat([hidden, lexicon.to(hidden.dtype)], dim=-1))
        return self.dropout(functional.gelu(self.head(joined))), hidden

    def _read(self, input_ids: Tensor) -> Tensor:
        if self.pooled is not None:
            assert self.pieces is not None, "a teacher of word pieces without its tokenizer"
            read: Tensor = self.pooled(self.encoder, self.pieces.batch(input_ids))
            return read
        mask = (input_ids != 0).long()
        hidden: Tensor = self.encoder(input_ids=input_ids, attention_mask=mask).last_hidden_state
        return hidden


def load_encoder(name_or_path: str | Path, vocabulary: tuple[str, ...]) -> tuple[nn.Module, dict[str, Any], list[str]]:
    """Load a pretrained encoder and gather its embedding rows to our vocabulary.

    A token that the encoder lacks gets the row of its form in the other case, else the mean of all rows. Positions are
    numbered from our padding, and :class:`Teacher` builds the same anew from the configuration.

    Parameters
    ----------
    name_or_path
        What ``AutoModel.from_pretrained`` takes; the encoder must come with a ``vocab.txt`` tokenizer.
    vocabulary
        Our tokens by id.

    Returns
    -------
    tuple
        The encoder, its configuration as a dict, and the tokens that it lacked.

    Raises
    ------
    EncoderError
        For an encoder that cannot be read, or built anew from its configuration.
    """
    return adapt_encoder(*_pretrained(name_or_path), vocabulary)


def load_encoder_of_pieces(
    name_or_path: str | Path, vocabulary: tuple[str, ...]
) -> tuple[nn.Module, dict[str, Any], WordPieces]:
    """Load a pretrained encoder as it is, and the pieces of its tokenizer.

    Raises
    ------
    EncoderError
        For an encoder that cannot be read, or built anew from its configuration, or that has no pieces.
    """
    encoder, _ = _pretrained(name_or_path)
    pieces = pieces_of_encoder(name_or_path, vocabulary, encoder)
    return encoder, _checked_settings(encoder), pieces


def adapt_encoder(
    encoder: Any, rows: dict[str, int], vocabulary: tuple[str, ...]
) -> tuple[nn.Module, dict[str, Any], list[str]]:
    """Gather an encoder's embedding rows to our vocabulary; the rest, and what is returned, as of :func:`load_encoder`.

    ``rows``: of its own tokens.
    """
    old = encoder.get_input_embeddings().weight.data
    new = old.mean(dim=0, keepdim=True).repeat(len(vocabulary), 1)
    lacking = []
    for index, token in enumerate(vocabulary):
        row = next((rows[form] for form in (token, token.upper(), token.lower()) if form in rows), None)
        if row is None:
            lacking.append(token)
        else:
            new[index] = old[row]
    embedding = nn.Embedding(len(vocabulary), old.shape[1], padding_idx=0)
    embedding.weight.data.copy_(new)
    encoder.set_input_embeddings(embedding)
    number_positions_from_our_padding(encoder)
    encoder.config.vocab_size = len(vocabulary)
    encoder.config.pad_token_id = 0
    return encoder, _checked_settings(encoder), lacking


def _checked_settings(encoder: Any) -> dict[str, Any]:
    """Return what the encoder is built anew from, after doing so.

    Raises
    ------
    EncoderError
        Where it then computes other things.
    """
    config = encoder.config
    settings: dict[str, Any] = config.to_diff_dict() | {
        "model_type": config.model_type,
        "hidden_size": config.hidden_size,
    }
    for name in ("architectures", "dtype", "transformers_version"):
        settings.pop(name, None)
    with torch.random.fork_rng(devices=()):  # what a run draws does not hang on this check
        again = _new_encoder(settings)
    check_built_anew(encoder, again)
    return settings


def _pretrained(name_or_path: str | Path) -> tuple[Any, dict[str, int]]:
    """Return a pretrained encoder and the rows of its tokens."""
    from transformers import AutoModel

    rows = tokens_of(name_or_path)
    try:
        with _quiet():
            encoder, found = AutoModel.from_pretrained(name_or_path, dtype=torch.float32, output_loading_info=True)
    except UNREADABLE as error:
        raise _unreadable(name_or_path, error) from None
    # transformers draws these at random.
    missing = sorted(name for name in found["missing_keys"] if "pooler" not in name)
    if missing:
        raise EncoderError(f"encoder: {name_or_path} lacks {len(missing)} of its weights: {', '.join(missing[:5])}")
    if hasattr(encoder, "pooler"):
        encoder.pooler = None
    return encoder, rows


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from reporting, in a table, weights that are missing: those that matter are refused by name."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _new_encoder(settings: dict[str, Any]) -> Any:
    from transformers import AutoConfig, AutoModel

    rest = {key: value for key, value in settings.items() if key != "model_type"}
    encoder = AutoModel.from_config(AutoConfig.for_model(settings["model_type"], **rest))
    if hasattr(encoder, "pooler"):
        encoder.pooler = None
    return encoder


def tokens_of(name_or_path: str | Path) -> dict[str, int]:
    """Return the rows of an encoder's tokens, from its ``vocab.txt`` or, where it has none, from its tokenizer.

    Raises
    ------
    EncoderError
        For an encoder that cannot be read.
    """
    vocabulary_file = Path(name_or_path) / "vocab.txt"
    if vocabulary_file.exists():
        tokens = vocabulary_file.read_text(encoding="utf-8").split("\n")
        return {token: row for row, token in enumerate(tokens) if token}
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path)
    except UNREADABLE as error:
        raise _unreadable(name_or_path, error) from None
    rows: dict[str, int] = tokenizer.get_vocab()
    for token in SPECIAL_TOKENS:
        row = getattr(tokenizer, f"{token.strip('[]').lower()}_token_id", None)  # "<s>" where we say "[CLS]"
        if row is not None:
            rows.setdefault(token, row)
    return rows


def _unreadable(name_or_path: str | Path, error: Exception) -> EncoderError:
    return EncoderError(f"encoder: {name_or_path} cannot be read: {' '.join(str(error).split())}")
